"""The JSON shapes of commands as types: `dravo schema` publishes them, and a test validates the output."""
