"""The one way to the platforms: bounded calls.

Strict JSON, and the interface that an adapter calls through.
"""
