"""Simulated LinkedIn: statistics, posts, OAuth."""
