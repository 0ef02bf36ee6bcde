"""Reads that refresh: make rows due, wait for them, limit how often."""
