"""The endpoint class that holds up a whole account has the name under which its adapter reports limits."""

from shared.quota.read_endpoints import MEMBER_READ_ENDPOINTS, READ_ENDPOINTS, TOKENLESS_READ_ENDPOINTS
from shared.vocabulary import Platform
from worker.adapters import tiktok
from worker.adapters.linkedin import restli
from worker.adapters.x import refusals


def test_names_are_those_of_the_adapters() -> None:
    assert READ_ENDPOINTS[Platform.TIKTOK] == tiktok.QUERY
    assert READ_ENDPOINTS[Platform.LINKEDIN] == restli.STATISTICS
    assert READ_ENDPOINTS[Platform.X] == refusals.USER_BUCKET[1]
    assert {Platform.LINKEDIN: restli.ANALYTICS} == MEMBER_READ_ENDPOINTS
    assert {Platform.X: refusals.APP_BUCKET[1]} == TOKENLESS_READ_ENDPOINTS


def test_every_platform_has_a_read_endpoint() -> None:
    assert set(READ_ENDPOINTS) == set(Platform)
