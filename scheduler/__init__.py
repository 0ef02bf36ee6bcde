"""The scheduler: claims due rows and enqueues them, and maintains the fleet's metrics and summary.

Statements that write ``refresh_state`` are in `shared.refresh_state`; calls to platforms are the worker's.
"""
