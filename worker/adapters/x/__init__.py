"""X: the adapter for posts, and the errors of the API."""
