"""Checks what a command prints with --json against its published schema."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from deploy.schemas.documents import DOCUMENTS


def check_document(arguments: Sequence[str], printed: str) -> str | None:
    """Fail unless a document has exactly the fields of its schema; return the command, if it printed one."""
    if "--json" not in arguments or "--help" in arguments or not printed.startswith(("{", "[")):
        return None
    command = next(
        (name for name in (" ".join(arguments[:2]), arguments[0]) if name in DOCUMENTS), arguments[0]
    )
    check(command, json.loads(printed))
    return command


def check(command: str, document: Any) -> None:
    """Fail unless a document has exactly the fields of its command's schema."""
    adapter = _adapter(command)
    # An unknown field is dropped by validation, so a document that survives it has none.
    assert adapter.dump_python(adapter.validate_python(document, strict=True)) == document


@cache
def _adapter(command: str) -> TypeAdapter[Any]:
    return TypeAdapter(DOCUMENTS[command])
