"""Accounts and publications from import files and events: checked, merged and stored.

Nothing here reads a platform.
"""
