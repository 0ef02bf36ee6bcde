"""How much a platform may be asked, by limits, budgets, pauses and money.

The worker asks through `worker.quota`.
"""
