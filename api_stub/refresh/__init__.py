"""Refresh on read: makes rows due, waits for them with ``refresh=true``, and limits how often a client may.

The SQL is in ``posts/``; this folder never calls a platform.
"""
