"""How interleavings are run: sessions, steps, depth-first search, schedules. No operation of ours here."""
