"""Budgets and circuit breakers as one job meets them; the fleet's shared state is in `shared.quota`."""
