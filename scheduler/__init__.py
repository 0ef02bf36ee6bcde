"""Finds the publications that are due and asks for their refresh, once."""
