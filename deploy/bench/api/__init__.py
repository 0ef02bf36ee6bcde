"""``make bench-api``: the read API and `/ops`, beside a bare application that runs the same SQL."""
