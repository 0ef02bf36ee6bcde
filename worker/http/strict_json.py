"""JSON by RFC 8259 and RFC 7493: one value for one text, and no ambiguous numbers."""

import json
import math
from collections.abc import Iterable
from typing import Any, Final, NoReturn

MAX_DEPTH: Final = 50
MAX_DIGITS: Final = 400
"""Longest accepted number, in characters; a 64-bit counter has 19 digits."""


def parse(text: bytes | str) -> object:
    """Return the value of a JSON text; integers are exact, however long.

    Raises `ValueError` for invalid UTF-8 or JSON, a duplicate name in an object, NaN or infinity, a number
    beyond a double or longer than ``MAX_DIGITS``, and nesting deeper than ``MAX_DEPTH``. Neither the message
    nor its cause quotes the text, which may hold tokens (`json.JSONDecodeError` carries all of it).
    """
    value, flaw = _decode(text)
    if flaw is None and _deeper_than(MAX_DEPTH, value):
        flaw = "is nested too deeply"
    if flaw is not None:
        raise ValueError(f"the text {flaw}")
    return value


class _FlawError(ValueError):
    """A flaw that the standard library's parser accepts."""


def _decode(text: bytes | str) -> tuple[object, str | None]:
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        return _DECODER.decode(text), None
    except _FlawError as error:
        return None, str(error)
    except RecursionError:
        return None, "is nested too deeply"
    except UnicodeDecodeError:
        return None, "is not UTF-8"
    except json.JSONDecodeError as error:
        return None, "is empty" if not text else f"is not JSON from character {error.pos} on"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _FlawError("has a name twice in one object")
    return value


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise _FlawError("has a number of absurd length")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if len(digits) > MAX_DIGITS or math.isinf(value):
        raise _FlawError("has a number beyond all bounds")
    return value


def _constant(name: str) -> NoReturn:
    raise _FlawError(f"has {name}, which is no JSON")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def _deeper_than(limit: int, value: object) -> bool:
    level = [value]
    for _ in range(limit + 1):
        level = [child for one in level for child in _children(one)]
    return bool(level)


def _children(value: object) -> Iterable[object]:
    """Return the children of a container; an empty one counts as deep as one with a child."""
    if isinstance(value, dict):
        return value.values() or (None,)
    if isinstance(value, list):
        return value or (None,)
    return ()
