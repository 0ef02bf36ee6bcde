"""Who calls: API keys and dashboard tokens, each bound to one workspace."""
