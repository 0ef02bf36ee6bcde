"""Simulated graph.facebook.com and graph.instagram.com."""
