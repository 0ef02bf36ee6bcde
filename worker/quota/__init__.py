"""Budgets, pauses and circuit breakers as one job uses them; their shared state is in `shared.quota`."""
