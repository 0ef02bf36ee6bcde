"""The geometry and the colours of charts, from plain numbers; no query, no template."""
