"""Simulated platforms over loopback HTTP, written from the vendors' pages without code of our services."""
