"""What a freshness policy costs an installation, and what it would have done to recorded numbers."""
