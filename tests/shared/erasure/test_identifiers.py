"""Ids stand between delimiters; names are whole words."""

import pytest

from shared.erasure.identifiers import MOST_PATTERNS, Identifiers


@pytest.mark.parametrize(
    ("searched", "there"),
    [
        ("acc_1a", True),
        ("dravo:budget:x:account:acc_1a/tweets", True),
        ('{"account": "acc_1a", "n": 1}', True),
        ("evt_acc_1a_7", True),
        ("urn:li:share:712345", True),
        ("acc_1ab", False),
        ("xacc_1a", False),
        ("asked by Brand One.", True),
        ("Brand Ones", False),
        ("42 rows", False),
    ],
)
def test_identifier_is_found_between_delimiters_alone(searched: str, there: bool) -> None:
    identifiers = Identifiers(
        [
            ("account", "acc_1a"),
            ("platform_post", "urn:li:share:712345"),
            ("name", "Brand One"),
            ("post", "42"),
        ]
    )

    assert identifiers.found_in(searched) is there


def test_few_identifiers_have_patterns_that_quote_what_like_would_expand() -> None:
    assert Identifiers([("account", "acc_1%"), ("name", 'the "One"')]).patterns == [
        "%acc\\_1\\%%",
        '%the \\\\"One\\\\"%',
    ]
    assert Identifiers([("post", f"post_{n}") for n in range(MOST_PATTERNS + 1)]).patterns is None


def test_ids_and_names_count_together_for_the_bound_of_patterns() -> None:
    ids = [("post", f"post_{n}") for n in range(MOST_PATTERNS - 1)]

    assert len(Identifiers([*ids, ("name", "Brand")]).patterns or []) == MOST_PATTERNS
    assert Identifiers([*ids, ("name", "Brand"), ("name", "Other")]).patterns is None
