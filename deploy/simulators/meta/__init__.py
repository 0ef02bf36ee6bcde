"""The simulated graph.facebook.com and graph.instagram.com."""
