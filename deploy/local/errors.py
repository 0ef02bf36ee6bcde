"""What the local stack says when it cannot go on."""


class LocalServerError(Exception):
    """One sentence for the person at the terminal: what cannot be done, why, where to look. No secrets."""
