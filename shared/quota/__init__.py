"""Limits of calls: published rates, fleet-wide budgets in Redis, pauses in PostgreSQL and money spent at X.

How a worker obeys them during a job belongs to `worker.quota`.
"""
