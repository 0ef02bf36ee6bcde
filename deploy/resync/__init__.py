"""A manual re-sync from the command line: selection, estimate, run."""
