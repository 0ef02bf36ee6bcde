"""What needs an operator now: the alerts' conditions as ranked lines, for the page and `dravo status`."""
