"""What a round is judged by: event log, observations, invariants, report."""
