"""How fast publications come in: ``dravo import`` of a large file, and events over HTTP."""
