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
    value = _plain(text)
    if value is not _DOUBTFUL:
        return value
    value, flaw = _decode(text)
    if flaw is None and _deeper_than(MAX_DEPTH, value):
        flaw = "is nested too deeply"
    if flaw is not None:
        raise ValueError(f"the text {flaw}")
    return value


def _plain(text: bytes | str) -> object:
    """Return the value of a text without any flaw, else ``_DOUBTFUL``; several times faster than `_decode`.

    The standard library's parser is fast without hooks, and then accepts a name twice. Each name is followed
    by a colon, so a text with as many colons after quotes as its objects have names repeats none.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8-sig")
        if any(unsure in text for unsure in _UNSURE):
            return _DOUBTFUL
        value = _FAST_DECODER.decode(text)
    except (ValueError, RecursionError):
        return _DOUBTFUL
    names = 0
    level = [value]
    for _ in range(MAX_DEPTH):
        following: list[object] = []
        for one in level:
            kind = type(one)
            if kind is dict:
                names += len(one)
                following += one.values()
            elif kind is list:
                following += one
            elif kind is int and one.bit_length() > _SURE_BITS:
                return _DOUBTFUL
        if not following:
            return value if names == text.count('":') else _DOUBTFUL
        level = following
    return _DOUBTFUL


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


_FAST_DECODER: Final = json.JSONDecoder(parse_float=_float, parse_constant=_constant)
_DOUBTFUL: Final = object()
_SURE_BITS: Final = 1_024
"""Numbers of so many bits are shorter than ``MAX_DIGITS``."""
_UNSURE: Final = ('\\"', " :", "\t:", "\n:", "\r:")
"""In a text with one of these, colons are not counted: a string holds a quote, or a colon stands apart."""


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
