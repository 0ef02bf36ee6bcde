"""Benchmarks of the delta feed and its webhooks: what they cost, and how fast they are."""
