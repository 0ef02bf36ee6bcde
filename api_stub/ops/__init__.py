"""``/ops``, the operators' page: what the fleet does, the rows behind each number, and what to do about them.

Rendered here, alive with a small script, whole without it. Nothing is counted while somebody waits: `keeper`
keeps the figures in a table, and every page says how old they are.
"""
