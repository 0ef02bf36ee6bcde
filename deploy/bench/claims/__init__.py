"""``python -m deploy.bench.claims``: what a claim costs by size, with several schedulers, under hostility."""
