"""Simulated TikTok: videos, publish status, OAuth."""
