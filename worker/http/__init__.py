"""HTTP calls to platforms: the bounded client, strict JSON, and the interface that adapters call."""
