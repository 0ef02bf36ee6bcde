"""Logs, metrics, traces and failpoints of every service; what they report is decided by their callers."""
