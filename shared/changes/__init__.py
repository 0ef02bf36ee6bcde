"""The delta feed: every change of a served value, in an order that one cursor can follow for ever.

Triggers write one row of ``changes`` a publication, and ``accounts.changed_in``, with the number of the
transaction that changed it. The order of the feed is that number, then accounts before publications, then the
id. A reader sees ``changed_in < pg_snapshot_xmin(pg_current_snapshot())`` only, in the statement that reads:
all transactions with smaller numbers have ended, so nothing can appear behind a cursor.
"""
