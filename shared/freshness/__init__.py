"""When a refreshed row is due again: a rule in plain numbers, its priors, and quota pressure."""
