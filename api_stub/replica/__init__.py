"""Reads from a streaming replica (``DRAVO_READ_DATABASE_URL``): when one may, and how far it is behind.

Only pages and histories are read there. What makes rows due, authenticates a caller, follows the delta feed
or serves operators uses the primary (decision 23).
"""
