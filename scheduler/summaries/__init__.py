"""Summaries of the fleet that the scheduler writes for `/ops`, so that no request counts rows."""
