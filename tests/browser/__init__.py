"""The operators' page in a real browser: its own command, ``make test-browser``."""
