"""Turns claims of one account into snapshots."""
