"""Import of accounts and publications from files and events: rows are checked, compared and stored.

Nothing here calls a platform; rows of ``refresh_state`` are written by `shared.refresh_state.ingest`.
"""
