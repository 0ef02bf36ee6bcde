"""Refresh on read: makes rows due, waits for them with ``refresh=true``, and limits how often a client may.

The SQL stands in ``posts/``; this folder never calls a platform.
"""
