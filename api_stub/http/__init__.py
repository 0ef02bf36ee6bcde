"""The HTTP service around the endpoints: server, middleware, errors, health, metrics, connections.

Endpoints for clients belong in the folder of their concern.
"""
