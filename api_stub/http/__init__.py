"""What surrounds every request: server, middleware, errors, health, metrics, connections."""
