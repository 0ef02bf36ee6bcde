"""Simulated platforms over loopback HTTP, written from the vendors' pages alone."""
