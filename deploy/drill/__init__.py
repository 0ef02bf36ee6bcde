"""Drills: faults that only an operator can end, and the recovery from each by terminal and by page."""
