"""Accounts and posts as JSON, and the state file that keeps them, also after a SIGKILL at any instant.

Every change is appended as one line before the answer that caused it is sent. At the start the file is read
(an incomplete last line, left by a kill, is dropped), rewritten without outdated lines, and replaced.
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from deploy.simulators.world import Account, Post, World

Value = TypeVar("Value", Account, Post)

FILE_NAME = "simulators.jsonl"

_READERS: dict[str, Callable[[Any], Any]] = {
    "scopes": frozenset,
    "former_access_tokens": frozenset,
    "absent_metrics": frozenset,
    "refused_metrics": frozenset,
    "half_life": lambda seconds: timedelta(seconds=seconds),
    "counters": dict,
}


def read(kind: type[Value], values: Mapping[str, Any]) -> Value:
    """Build an account or post from JSON values. Raises `ValueError` that names a wrong field."""
    return kind(**read_changes(kind, values, whole=True))


def read_changes(
    kind: type[Account] | type[Post], values: Mapping[str, Any], *, whole: bool = False
) -> dict[str, Any]:
    """Read fields of an account or post from JSON values; `whole` requires all that have no default."""
    known = {one.name for one in fields(kind)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"{kind.__name__} has no {', '.join(unknown)}")
    required = {one.name for one in fields(kind) if one.default is one.default_factory is MISSING}
    if whole and (missing := sorted(required - set(values))):
        raise ValueError(f"{kind.__name__} needs {', '.join(missing)}")
    return {name: _read(name, value) for name, value in values.items()}


def _read(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _READERS:
        return _READERS[name](value)
    if name.endswith("_at"):
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise ValueError(f"{name} needs an offset from UTC")
        return instant
    return value


def to_json(value: Account | Post) -> dict[str, Any]:
    """Return the fields that differ from their defaults, as JSON values."""
    out: dict[str, Any] = {}
    for one in fields(value):
        content = getattr(value, one.name)
        if content == one.default or (one.name == "counters" and not content):
            continue
        if isinstance(content, datetime):
            content = content.isoformat()
        elif isinstance(content, timedelta):
            content = content.total_seconds()
        elif isinstance(content, frozenset):
            content = sorted(content)
        out[one.name] = content
    return out


class StateFile:
    """The file that keeps a world in a directory: loaded at construction, appended to at every change."""

    def __init__(self, directory: Path, world: World) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / FILE_NAME
        self._load(world)
        self._rewrite(world)
        self._file = self._path.open("a", encoding="utf-8")
        world.watch(self._append)

    def close(self) -> None:
        """Close the file; later changes of the world raise `ValueError`."""
        self._file.close()

    def _load(self, world: World) -> None:
        if not self._path.exists():
            return
        for line in self._path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            kind, values = json.loads(line)
            if kind == "world":
                world.started_at = datetime.fromisoformat(values["started_at"])
            elif kind == "cleared":
                world.clear()
            elif kind == "account":
                world.add_accounts([read(Account, values)])
            else:
                world.add_posts([read(Post, values)])

    def _rewrite(self, world: World) -> None:
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            file.write(_line("world", {"started_at": world.started_at.isoformat()}))
            values: list[Account | Post] = [*world.accounts(), *world.posts()]
            for value in values:
                file.write(_line(_kind(value), to_json(value)))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)

    def _append(self, value: Account | Post | None) -> None:
        self._file.write(_line("cleared", {}) if value is None else _line(_kind(value), to_json(value)))
        self._file.flush()


def _kind(value: Account | Post) -> str:
    return "account" if isinstance(value, Account) else "post"


def _line(kind: str, values: dict[str, Any]) -> str:
    return json.dumps([kind, values], separators=(",", ":")) + "\n"
