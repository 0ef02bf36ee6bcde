"""Signals of the platforms: verified, stored, acknowledged, and applied afterwards by the usual transitions.

A signal is a hint. It brings refreshes forward, disconnects an account whose authorization is gone, or
requests an erasure; it stores no numbers but those of an expired story, which nobody can read again. What a
signal misses is found by polling: a refused token, a missing post.
"""
