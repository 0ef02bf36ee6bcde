"""Account states, the life of tokens, sealed secrets and API keys.

Rows of publications belong to `shared.refresh_state`.
"""
