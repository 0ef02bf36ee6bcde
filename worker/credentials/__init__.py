"""Tokens: decrypted for one job, renewed once for the fleet; encryption is `shared.accounts.vault`."""
