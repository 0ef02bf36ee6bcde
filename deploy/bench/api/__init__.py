"""``make bench-api``: the read API and the operators' page, beside a bare application that runs the same SQL."""
