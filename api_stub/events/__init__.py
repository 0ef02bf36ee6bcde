"""``POST /internal/events``: what the rest of Dravo reports, checked and committed."""
