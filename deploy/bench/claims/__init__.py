"""``python -m deploy.bench.claims``: what a claim costs by size, by schedulers, under bad conditions."""
