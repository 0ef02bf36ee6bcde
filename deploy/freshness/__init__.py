"""What a freshness policy costs an installation, and how fresh it would have kept recorded numbers."""
