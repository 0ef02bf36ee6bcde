"""Account states, token lifetimes, encryption of secrets at rest and API keys.

Statements that write ``refresh_state`` belong to `shared.refresh_state`; token renewal belongs to the worker.
"""
