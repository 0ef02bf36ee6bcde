"""`dravo up`: the whole system on one machine, with embedded servers and demo data; no production service."""
