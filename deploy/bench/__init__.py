"""Benchmarks through the public doors; every figure in the docs comes from one of these."""
