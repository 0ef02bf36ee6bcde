"""``dravo import``: files of accounts and publications; what is stored, and how, is `shared.ingestion`."""
