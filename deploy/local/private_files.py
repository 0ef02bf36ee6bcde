"""Files for our eyes alone, written whole or not at all, even if we are killed in the middle."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def write(path: Path, content: str) -> None:
    """Write a file that only we may read, in the place of the one that is there."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    new.replace(path)


def kept(path: Path, make: Callable[[], str]) -> str:
    """Return what is kept in a file, made once."""
    if not path.exists():
        write(path, make())
    return path.read_text()


def kept_password(path: Path) -> str:
    """Return the password kept in a file, made once."""
    return kept(path, lambda: secrets.token_urlsafe(32))
