"""The simulated TikTok: videos, publish status, OAuth."""
