"""Facebook and Instagram, and what both share of the Graph API."""
