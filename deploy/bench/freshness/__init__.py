"""Simulation of freshness policies: the error that readers see against the calls that it costs."""
