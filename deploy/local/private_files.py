"""Files that only this user can read, written atomically."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def write(path: Path, content: str) -> None:
    """Write or replace a file that only this user can read."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    new.replace(path)


def read_or_create(path: Path, create: Callable[[], str]) -> str:
    """Return a file's content; a missing file is created first."""
    if not path.exists():
        write(path, create())
    return path.read_text()


def read_or_create_password(path: Path) -> str:
    """Return the password in a file; a missing file is created with a random one."""
    return read_or_create(path, lambda: secrets.token_urlsafe(32))
