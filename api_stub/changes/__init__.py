"""``GET /v1/analytics/changes``: the delta feed of `shared.changes` over HTTP."""
