"""The simulated LinkedIn: statistics, posts, OAuth."""
