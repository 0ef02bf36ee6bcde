"""Webhook endpoints: which URLs are allowed, how endpoints are stored, and what operators do with them.

A webhook is a follower of `shared.changes` that we run: its endpoint has a cursor, and no second record of
what happened exists. `worker.webhooks` delivers.
"""
