"""Clients of the fleet during a round: they send events, poll, follow changes, and check what they get."""
