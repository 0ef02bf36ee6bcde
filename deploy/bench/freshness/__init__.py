"""Benchmark of freshness policies in simulated worlds: the error that readers see against calls."""
