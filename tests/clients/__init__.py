"""Proofs from outside: a wheel that runs the whole system, and generated clients that read it."""
