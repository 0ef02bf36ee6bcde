"""``dravo pause``, ``resume``, ``pauses``, ``quarantine``; `shared.operations` writes what they store."""
