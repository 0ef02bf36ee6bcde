"""The re-sync behind `dravo resync`: selection, estimate, run. Options and output: `deploy.commands`."""
