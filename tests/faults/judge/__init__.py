"""How a round is judged: event log, observations, invariants, report. Nothing here injects a fault."""
