"""A rehearsed restore: what the runbook says, done on embedded servers, checked and timed."""
