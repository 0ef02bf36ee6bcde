"""X: the metrics of posts, and what its refusals mean."""
