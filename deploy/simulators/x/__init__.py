"""The simulated X: posts, usage, billing, OAuth."""
