"""Tokens: opened for one job, renewed once for the fleet; sealing is `shared.accounts.vault`."""
