"""Logs, metrics, traces and failpoints of every service.

What a service logs or counts, and when, belongs to that service.
"""
