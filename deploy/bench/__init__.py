"""Benchmarks through public interfaces; every figure in the documentation comes from one of them."""
