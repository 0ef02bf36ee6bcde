"""Simulated X: posts, usage, billing, OAuth."""
