"""``dravo webhooks``: endpoints and their deliveries; the rules of an endpoint are in `shared.webhooks`."""
