"""Services with one thing changed, started by name instead of the product's own."""
