"""The read path of ``GET /v1/analytics/posts`` and of the history, from parameters over SQL to JSON.

What happens around a request (errors, middleware) is in ``http/``, waiting for refreshes in ``refresh/``.
"""
