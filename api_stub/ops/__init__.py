"""``/ops``, the operators' page: figures of the fleet, the rows behind each figure, and forms to act on them.

HTML is rendered here; a small script reloads it, and every page works without the script. No request counts
rows: the figures are read from summary tables, and every page shows their age. What an operator's action does
to the fleet is in ``shared/operations``.
"""
