"""``make drill``: plays faults that only an operator can end, and recovers from each by terminal and by page."""
