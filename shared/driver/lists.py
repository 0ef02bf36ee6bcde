"""Lists as PostgreSQL array literals, several times faster than psycopg's own conversion.

psycopg converts a list element by element. Bulk statements pass a dozen lists of a hundred elements each, and
that conversion was the largest part of a worker's CPU time. A list of one common type becomes a literal of
unknown type here, which takes its type from the statement (``CAST(:ids AS bigint[])``, ``= ANY(:ids)``).
psycopg converts every other list as before.

https://www.postgresql.org/docs/18/arrays.html#ARRAYS-IO
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from psycopg import Connection, DataError
from psycopg.adapt import Buffer, PyFormat
from psycopg.types.array import BaseListDumper, ListDumper
from psycopg.types.json import Jsonb, set_json_loads
from pydantic_core import from_json, to_json

_NONE: Final = type(None)


class _ListDumper(ListDumper):
    def get_key(self, obj: list[Any], format: PyFormat) -> Any:  # noqa: A002 - psycopg's name
        return self.cls if _kind_of(obj) in _LITERALS else super().get_key(obj, format)

    def upgrade(self, obj: list[Any], format: PyFormat) -> BaseListDumper:  # noqa: A002 - psycopg's name
        return self if _kind_of(obj) in _LITERALS else super().upgrade(obj, format)

    def dump(self, obj: list[Any]) -> Buffer | None:
        kind = _kind_of(obj)
        if kind is None or kind not in _LITERALS or (kind is datetime and not all(map(_is_aware, obj))):
            return super().dump(obj)
        text = _literal(kind, obj)
        if "\0" in text:
            raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        return text.encode()


def _literal(kind: type, obj: list[Any]) -> str:
    """Return the array literal of a list of one type."""
    if kind is str and None not in obj:
        text = '{"' + '","'.join(obj) + '"}'
        if text.count('"') == 2 * len(obj) and "\\" not in text:
            return text
    literal = _LITERALS[kind]
    return "{" + ",".join(["NULL" if one is None else literal(one) for one in obj]) + "}"


def _kind_of(obj: list[Any]) -> type | None:
    """Return the type of the list's elements; ``None`` when they are mixed."""
    types = set(map(type, obj))
    types.discard(_NONE)
    if len(types) > 1:
        return None
    return types.pop() if types else int


def _is_aware(instant: datetime | None) -> bool:
    return instant is None or instant.tzinfo is not None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _json(value: Jsonb) -> str:
    return _quoted(to_json(value.obj).decode())


def _instant(value: datetime) -> str:
    return '"' + value.isoformat() + '"'


_LITERALS: Final[Mapping[type, Callable[[Any], str]]] = {
    int: str,
    float: repr,
    bool: str,
    str: _quoted,
    datetime: _instant,
    Jsonb: _json,
}


def text_array(values: Iterable[str]) -> str:
    """Return the literal of an array of texts, for one element of a list: ``CAST(o.warnings AS text[])``."""
    return "{" + ",".join(map(_quoted, values)) + "}"


def use_fast_lists(connection: "Connection[Any]") -> None:
    """Convert the lists that are passed to this connection's statements so, and the JSON that it returns."""
    connection.adapters.register_dumper(list, _ListDumper)
    set_json_loads(from_json, connection)
