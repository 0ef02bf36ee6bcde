"""Lists as PostgreSQL array literals, several times faster than psycopg's own conversion.

psycopg converts a list element by element. Bulk statements pass a dozen lists of a hundred elements each, and
that conversion was the largest part of a worker's CPU time. A list of one common type becomes a literal of
unknown type here, which takes its type from the statement (``CAST(:ids AS bigint[])``, ``= ANY(:ids)``).
psycopg converts every other list as before.

https://www.postgresql.org/docs/18/arrays.html#ARRAYS-IO
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from json import JSONEncoder
from typing import Any, Final

from psycopg import Connection, DataError
from psycopg.adapt import Buffer, PyFormat
from psycopg.types.array import BaseListDumper, ListDumper
from psycopg.types.json import Jsonb

_NONE: Final = type(None)
_encoded: Final = JSONEncoder(
    separators=(",", ":")
).encode  # `json.dumps` would make an encoder for each call


class _ListDumper(ListDumper):
    def get_key(self, obj: list[Any], format: PyFormat) -> Any:  # noqa: A002 - psycopg's name
        return self.cls if _literal_of(obj) else super().get_key(obj, format)

    def upgrade(self, obj: list[Any], format: PyFormat) -> BaseListDumper:  # noqa: A002 - psycopg's name
        return self if _literal_of(obj) else super().upgrade(obj, format)

    def dump(self, obj: list[Any]) -> Buffer | None:
        literal = _literal_of(obj)
        if literal is None:
            return super().dump(obj)
        text = "{" + ",".join(["NULL" if one is None else literal(one) for one in obj]) + "}"
        if "\0" in text:
            raise DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes")
        return text.encode()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _json(value: Jsonb) -> str:
    return _quoted(_encoded(value.obj))


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


def _literal_of(obj: list[Any]) -> Callable[[Any], str] | None:
    """Return how to write each element of the list; ``None`` when its types are mixed or others."""
    types = set(map(type, obj))
    types.discard(_NONE)
    if len(types) > 1:
        return None
    kind = types.pop() if types else int
    if kind is datetime and any(one.tzinfo is None for one in obj if one is not None):
        return None
    return _LITERALS.get(kind)


def text_array(values: Iterable[str]) -> str:
    """Return the literal of an array of texts, for one element of a list: ``CAST(o.warnings AS text[])``."""
    return "{" + ",".join(map(_quoted, values)) + "}"


def use_fast_lists(connection: "Connection[Any]") -> None:
    """Convert the lists that are passed to this connection's statements so."""
    connection.adapters.register_dumper(list, _ListDumper)
