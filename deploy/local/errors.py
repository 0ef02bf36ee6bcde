"""The error of the local stack."""


class LocalServerError(Exception):
    """The local stack cannot start or continue; one sentence says what failed, why and where to look."""
