"""Authentication of API clients: API keys and dashboard tokens, each bound to one workspace.

The operators' page has its own, in ``ops/``.
"""
