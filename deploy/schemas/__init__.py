"""The JSON shapes of commands as types: `dravo schema` publishes them, a test compares them with the output."""
