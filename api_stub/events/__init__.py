"""``POST /internal/events``: validates and commits the events that the rest of Dravo sends.

What an event does to accounts and publications is in ``shared/accounts`` and ``shared/ingestion``.
"""
