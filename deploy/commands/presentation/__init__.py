"""JSON shapes and sentences that several commands print; no options, and no statement of SQL."""
