"""Lists reach PostgreSQL with the values that they hold, whatever those contain."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb
from sqlalchemy import text
from sqlalchemy.exc import DataError

from shared.driver.lists import text_array
from shared.vocabulary import Platform
from tests.harness import Harness

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)


def returned(harness: Harness, values: list[Any], kind: str) -> list[Any]:
    with harness.engine.connect() as connection:
        result: list[Any] = connection.execute(
            text(f"SELECT CAST(:v AS {kind}[])"), {"v": values}
        ).scalar_one()
    return result


def test_lists_of_every_type_keep_their_values(harness: Harness) -> None:
    east = timezone(timedelta(hours=5, minutes=30))
    instants = [datetime(2026, 6, 23, 10, 15, 30, 1, UTC), None, datetime(1, 1, 1, 6, tzinfo=east)]
    texts = ["", "NULL", "null", "{}", "a,b", '"', "\\", "\\\\\"'", " x ", "\n\t", "ä €", "\u2028", None]
    assert returned(harness, [1, -(2**63), 2**63 - 1, None], "bigint") == [1, -(2**63), 2**63 - 1, None]
    assert returned(harness, texts, "text") == texts
    assert returned(harness, texts[:-1], "text") == texts[:-1]
    assert returned(harness, ["a", "b,c", ""], "text") == ["a", "b,c", ""]
    assert returned(harness, [datetime(2026, 1, 1)], "timestamptz") == [datetime(2026, 1, 1, tzinfo=UTC)]  # noqa: DTZ001 - an instant without offset is UTC
    assert returned(harness, instants, "timestamptz") == instants
    assert returned(harness, [True, None, False], "bool") == [True, None, False]
    assert returned(harness, [0.1, None, 1e300, float("inf")], "float8") == [0.1, None, 1e300, float("inf")]
    assert returned(harness, [], "text") == []
    assert returned(harness, [None, None], "timestamptz") == [None, None]
    assert returned(harness, [["a", "b"], ["c", None]], "text") == [["a", "b"], ["c", None]]
    assert returned(harness, [Platform.X, Platform.TIKTOK], "text") == ["x", "tiktok"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TEXT | st.none()), documents=st.lists(JSON))
def test_any_text_and_any_document_keep_their_values(
    harness: Harness, texts: list[str | None], documents: list[Any]
) -> None:
    assert returned(harness, texts, "text") == texts
    assert returned(harness, [Jsonb(one) for one in documents], "jsonb") == documents


def test_text_with_a_nul_character_is_refused_and_not_cut(harness: Harness) -> None:
    with pytest.raises(DataError):
        returned(harness, ["before\0after"], "text")


def test_array_inside_a_list_keeps_its_texts(harness: Harness) -> None:
    arrays = [[], ['a: b, "c"', "\\{}"], [""]]
    with harness.engine.connect() as connection:
        result = connection.execute(
            text(
                "SELECT CAST(a AS text[]) FROM unnest(CAST(:arrays AS text[]))"
                " WITH ORDINALITY AS u (a, n) ORDER BY n"
            ),
            {"arrays": [text_array(one) for one in arrays]},
        )
        assert list(result.scalars()) == arrays
