"""The live screen of `dravo status --watch`: views of the fleet, chosen with single keys."""
