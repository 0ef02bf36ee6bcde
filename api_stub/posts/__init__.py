"""The read path of ``GET /v1/analytics/posts`` and of the history, from parameters to JSON."""
