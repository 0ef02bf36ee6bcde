"""The page of what is kept how long."""

import re

from tests.api_stub.ops.conftest import Ops


def test_page_shows_the_limits_and_that_nothing_is_removed(ops: Ops) -> None:
    shown = ops.get("/ops/retention")

    assert shown.status_code == 200
    assert "nothing is removed" in shown.text
    rows = re.findall(r'<th scope="row">(\w+)</th><td>(\w+)</td><td>([\w ]+)</td>', shown.text)
    assert ("readings", "all", "90 days") in rows
    assert ("readings", "linkedin_member", "48 hours") in rows
    assert ("gone", "x", "not at all") in rows
    assert ("gone", "tiktok", "without end") in rows
