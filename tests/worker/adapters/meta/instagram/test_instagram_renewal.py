"""Renewal of Instagram's tokens with both logins."""

from datetime import timedelta

import pytest

from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.adapters.meta.instagram.harness import NOW, OWNER, Harness
from tests.worker.adapters.support import account, replies, reply, upstream
from worker.adapters.meta.instagram import Instagram
from worker.errors import Reauthorize, TryAgain


def test_renewal_returns_a_token_of_sixty_days(by_ids: Harness) -> None:
    way = by_ids.upstream()

    tokens = by_ids.adapter.renew(way, by_ids.connected())

    known = by_ids.simulators.world.account("instagram", OWNER)
    assert known is not None
    assert tokens.access_token.get_secret_value() == known.access_token
    assert tokens.expires_at == NOW + timedelta(days=60)
    assert "v25.0" not in way.sent[0].url


def test_token_younger_than_a_day_is_not_renewed(by_ids: Harness) -> None:
    young = by_ids.connected(token_minted_at=NOW - timedelta(hours=5))

    with pytest.raises(TryAgain) as caught:
        by_ids.adapter.renew(by_ids.upstream(), young)

    assert caught.value.after == timedelta(hours=19)
    assert by_ids.simulators.request_log.requests() == 0


def test_renewal_by_parameter_where_the_header_is_refused() -> None:
    missing = {"error": {"code": 104, "message": "An access token is required to request this resource."}}
    new = {"access_token": "IGAAnew", "token_type": "bearer", "expires_in": 5_184_000}
    way = upstream(replies(reply(missing, 400), reply(new)), now=NOW)

    tokens = Instagram(Settings()).renew(way, account(Platform.INSTAGRAM, login="instagram"))

    assert tokens.access_token.get_secret_value() == "IGAAnew"
    assert "access_token=" not in way.sent[0].url


@pytest.mark.parametrize(
    ("seconds", "days"),
    [(5_184_000, 60), (366 * 86_400, 366), (366 * 86_400 + 1, None), (0, None), (None, None)],
)
def test_renewed_token_ends_when_the_answer_says_so_within_a_year(seconds: object, days: int | None) -> None:
    way = upstream(lambda _: reply({"access_token": "IGAAnew", "expires_in": seconds}), now=NOW)

    tokens = Instagram(Settings()).renew(way, account(Platform.INSTAGRAM, login="instagram"))

    assert tokens.expires_at == (NOW + timedelta(days=days) if days else None)


@pytest.mark.parametrize("body", [{}, {"access_token": 5}, {"access_token": ""}, {"error": {"code": 100}}])
def test_answer_without_a_token_raises_try_again(body: object) -> None:
    way = upstream(lambda _: reply(body), now=NOW)

    with pytest.raises(TryAgain) as caught:
        Instagram(Settings()).renew(way, account(Platform.INSTAGRAM, login="instagram"))

    assert caught.value.after == timedelta(days=1)


def test_expired_and_facebook_login_tokens_are_not_renewed(by_ids: Harness, by_batch: Harness) -> None:
    by_ids.simulators.world.change_account("instagram", OWNER, access_token_expires_at=NOW - timedelta(1))

    for harness in (by_ids, by_batch):
        with pytest.raises(Reauthorize) as caught:
            harness.adapter.renew(harness.upstream(), harness.connected())
        assert not caught.value.renewable
