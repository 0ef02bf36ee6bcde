"""One value for one text; any other text is refused without being quoted."""

import json
import traceback
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.http import strict_json
from worker.http.strict_json import parse

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_valid_json_is_parsed_exactly(value: Any) -> None:
    assert parse(json.dumps(value).encode()) == value


@given(st.binary())
def test_any_bytes_are_parsed_or_raise_value_error(content: bytes) -> None:
    try:
        parse(content)
    except ValueError:
        return


def test_integers_stay_exact() -> None:
    assert parse(b"[9007199254740993, 7077642457847991554]") == [9007199254740993, 7077642457847991554]


def test_byte_order_mark_is_accepted() -> None:
    assert parse(b"\xef\xbb\xbf{}") == {}


REFUSED = {
    "empty": b"",
    "blank": b"  ",
    "HTML": b"<html>",
    "truncated": b'{"secret": "s3cr3t',
    "two values": b"{} {}",
    "single quotes": b"{'secret': 1}",
    "NaN": b'{"secret": NaN}',
    "infinity": b"[Infinity]",
    "minus infinity": b"[-Infinity]",
    "overflow": b"[1e999]",
    "minus overflow": b"[-1e999]",
    "a long integer": b"1" * 401,
    "a very long integer": b"1" * 1_000_000,
    "a long fraction": b"0." + b"1" * 399,
    "a duplicate": b'{"secret": 1, "secret": 2}',
    "an inner duplicate": b'[{"a": {"b": 1, "b": 1}}]',
    "an escaped duplicate": b'{"a": 1, "\\u0061": 2}',
    "deep": b"[" * 51 + b"]" * 51,
    "an object too deep": b"[" * 50 + b"{}" + b"]" * 50,
    "deep and spaced": b'{"a" :' + b"[" * 50 + b"]" * 50 + b"}",
    "very deep": b"[" * 2_000_000,
    "very deep objects": b'{"a":' * 500_000,
    "UTF-16": '{"secret": 1}'.encode("utf-16"),
    "Latin-1": '{"secret": "é"}'.encode("latin-1"),
    "a control character": b'"\x00"',
    "a leading zero": b"[01]",
    "a plus": b"[+1]",
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_invalid_json_is_refused_without_quoting_it(content: bytes) -> None:
    with pytest.raises(ValueError, match="the text ") as refusal:
        parse(content)

    assert type(refusal.value) is ValueError
    assert refusal.value.__context__ is None
    assert "secret" not in str(refusal.value)
    assert "s3cr3t" not in "".join(traceback.format_exception(refusal.value))


@pytest.mark.parametrize("first", [b'{"a":', b'{"a" :'])
def test_maximum_depth_and_length_are_accepted(first: bytes) -> None:
    value = parse(first + b"[" * 49 + b"1" * 400 + b"]" * 49 + b"}")

    assert isinstance(value, dict)
    value = value["a"]
    for _ in range(49):
        assert isinstance(value, list)
        value = value[0]
    assert value == int("1" * 400)


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    ),
    st.sampled_from([None, 1]),
)
def test_fast_way_returns_what_the_strict_one_does(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    strict, flaw = strict_json._decode(text)
    if flaw is None:
        assert repr(strict_json.parse(text)) == repr(strict)
    else:
        with pytest.raises(ValueError, match="the text"):
            strict_json.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 1}',
        '{"a" : 1, "a"\n: 2}',
        '{"a":1,"a":1,"b" :1}',
        '{"a": 1, "a"\t: 2}',
        '{"a": 1, "a"\r: 2}',
        '{"b": "\\"a\\":", "a": 1, "a": 2}',
        '[{"a": {"x": [], "x": []}}]',
        '{"\\u0061": 1, "a": 2}',
        '{"a": 1, "a": 2, "b\\\\": 3}',
        '{"a": "\\"b\\": 1", "a": 2}',
    ],
)
def test_no_name_is_accepted_twice_however_it_is_written(text: str) -> None:
    with pytest.raises(ValueError, match="a name twice"):
        strict_json.parse(text)


def test_colons_inside_strings_are_no_flaw() -> None:
    assert strict_json.parse('{"a": "x\\": y", "b\\":": ["\\" :"]}') == {"a": 'x": y', 'b":': ['" :']}
