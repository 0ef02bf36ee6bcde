"""Secrets are sealed, opened, rotated and redacted from texts."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.accounts.vault import REDACTED, SealError, SealingKey, Vault, new_key, redact

OLD, NEW, FOREIGN = (SecretStr(new_key()) for _ in range(3))
any_text = st.text(st.characters())  # lone surrogates included


@given(any_text)
def test_sealed_secret_opens_unchanged(secret: str) -> None:
    vault = Vault([NEW])

    sealed = vault.seal(SecretStr(secret))

    assert vault.open(sealed).get_secret_value() == secret
    assert len(secret) < 8 or secret not in sealed


@given(any_text)
def test_key_rotation_loses_no_secret(secret: str) -> None:
    sealed = Vault([OLD]).seal(SecretStr(secret))
    both = Vault([NEW, OLD])

    rotated = both.rotate(sealed)

    assert both.open(sealed).get_secret_value() == secret
    assert Vault([NEW]).open(rotated).get_secret_value() == secret
    with pytest.raises(SealError):
        Vault([OLD]).open(rotated)


def test_first_key_seals() -> None:
    sealed = Vault([NEW, OLD]).seal(SecretStr("one"))

    assert Vault([NEW]).open(sealed).get_secret_value() == "one"


def test_sealed_value_matches_only_its_own_secret() -> None:
    vault = Vault([NEW])
    sealed = vault.seal(SecretStr("one"))

    assert vault.matches(sealed, SecretStr("one"))
    assert not vault.matches(sealed, SecretStr("two"))
    assert not Vault([FOREIGN]).matches(sealed, SecretStr("one"))


def test_secret_key_has_the_same_sealing_key_in_every_release() -> None:
    key = SecretStr("A" * 43 + "=")

    assert Vault([key]).sealing_key == "public1.WwMHa430k0Lb-HTQP4zakUd_a3jccOO6NjyWklXEx3g="


def test_sealing_twice_yields_different_values() -> None:
    vault = Vault([NEW])

    assert vault.seal(SecretStr("one")) != vault.seal(SecretStr("one"))


@given(st.text())
def test_value_that_no_key_opens_is_refused_without_being_shown(sealed: str) -> None:
    for attempt in (Vault([NEW]).open, Vault([NEW]).rotate):
        with pytest.raises(SealError) as refusal:
            attempt(sealed)

        assert len(sealed) < 8 or sealed not in repr(refusal.value)
        assert refusal.value.__cause__ is None


def test_another_key_opens_nothing() -> None:
    sealed = Vault([FOREIGN]).seal(SecretStr("EAAsecret"))

    with pytest.raises(SealError, match="DRAVO_SECRET_KEYS") as refusal:
        Vault([NEW, OLD]).open(sealed)

    assert sealed not in str(refusal.value)


def test_changed_sealed_value_is_refused() -> None:
    sealed = Vault([NEW]).seal(SecretStr("one"))
    changed = sealed[:40] + ("A" if sealed[40] != "A" else "B") + sealed[41:]

    with pytest.raises(SealError):
        Vault([NEW]).open(changed)


def test_missing_keys_raise_an_error_that_says_what_to_do() -> None:
    with pytest.raises(SealError, match="dravo secrets generate"):
        Vault([])


SECRET = "s3cr3t-VALUE"


@pytest.mark.parametrize(
    "text",
    [
        f"GET https://graph.facebook.com/v25.0/1?metric=views&access_token={SECRET}&limit=1",
        f"https://a.example/?next=https%3A%2F%2Fb%2F%3Faccess_token%3D{SECRET}",
        f"refresh_token={SECRET}",
        f"client_id=7&client_secret={SECRET}",
        f"grant_type=fb_exchange_token&fb_exchange_token={SECRET}",
        f"debug_token?input_token={SECRET}",
        f"appsecret_proof={SECRET}",
        f'{{"access_token": "{SECRET}", "expires_in": 7200}}',
        f'{{"access_token": "with \\" quote {SECRET}"}}',
        f"{{'refresh_token': '{SECRET}'}}",
        f'{{"body": "{{\\"access_token\\":\\"{SECRET}\\"}}"}}',
        f"accessToken: {SECRET}",
        f"Authorization: Bearer {SECRET}",
        f"{{'authorization': 'Basic {SECRET}'}}",
        f"authorization: {SECRET}",
        f"illegal header value b'Bearer {SECRET}'",
        f"DRAVO_SECRET_KEYS={SECRET}",
        f"DRAVO_INTERNAL_TOKEN={SECRET}",
        f"DRAVO_JWT_SECRET='{SECRET}'",
        f"host=db password={SECRET} user=dravo",
        f"redis://:{SECRET}@cache:6379/0",
        f"rediss://default:pa/ss@{SECRET}@cache:6379/0",
        f"postgresql://dravo:{SECRET}@db/dravo",
        f"postgresql+psycopg://dravo:{SECRET}@db/dravo",
        f"https://user:{SECRET}@host.example/path",
        f"token={SECRET}",
    ],
)
def test_credential_is_redacted_by_its_name_or_place(text: str) -> None:
    assert SECRET not in redact(text)
    assert REDACTED in redact(text)


@pytest.mark.parametrize(
    "credential",
    [
        "EAAtesttoken123",
        "IGAAabcdef123456",
        "IGQVJabcdef123456",
        "act.Abc123!4567.u1",
        "rft.Abc123!4567.u1",
        "AQ" + "Xy7_-" * 12,
        "A" * 22 + "MLheAAAAAAA0%2BuSeid",
        "dra_" + "a1B2" * 8,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        Vault([OLD]).seal(SecretStr("x")),
        new_key(),
        "Z1h0bXVQ" * 8 + "OjE2OTk6MTowOmF0OjE",
    ],
    ids=lambda one: "key" if len(one) == 44 else one[:6],  # a random value must not name a test
)
@pytest.mark.parametrize("around", ["{}", "the call with {} failed", "'{}'", "/path/{}/x", "({})", "%20{}"])
def test_credential_is_redacted_by_its_shape(credential: str, around: str) -> None:
    assert credential not in redact(around.format(credential))


@pytest.mark.parametrize(
    "text",
    [
        "instagram: 17 readings of acc_8f2c1d, post 17900000000000001, urn:li:share:7390000000000000001",
        "platform_unavailable: X refused our application (403)",
        "token_expires_at 2026-12-01T00:00:00Z, the token: expired; invalid_token: renew it",
        "WWW-Authenticate: Bearer",
        "https://api.x.com/2/tweets?ids=1,2&tweet.fields=public_metrics",
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
        "aNameInCamelCase" * 4,
    ],
)
def test_text_without_credentials_is_unchanged(text: str) -> None:
    assert redact(text) == text


@given(st.text(), st.text(min_size=1), st.text())
def test_known_secret_is_redacted_whatever_its_shape(before: str, secret: str, after: str) -> None:
    left = redact(before + secret + after, secret).replace(REDACTED, "")

    assert secret not in left or secret in before + after


def test_known_secret_is_redacted_in_its_url_form() -> None:
    assert "p%7Cw" not in redact("…/me?key=p%7Cw", "p|w")
    assert "p%2Fw" not in redact("…/me?key=p%2Fw", "p/w")


def test_empty_secret_redacts_nothing() -> None:
    assert redact("one sentence", "") == "one sentence"


@given(st.text(alphabet="aA1_-.=&:\"'\\ @/%token"))
def test_redaction_is_idempotent(text: str) -> None:
    once = redact(text)

    assert redact(once) == once


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        " ",
        "\\",
        "://",
        "eyJ",
        "-eyJ",
        "redis://",
        "bearer ",
        "access_token",
        'access_token="',
        "EAA-",
        "A%",
    ],
)
def test_redaction_of_malicious_text_takes_linear_time(unit: str) -> None:
    # A quarter of a megabyte takes a fraction of a second; any quadratic pattern would take minutes.
    malicious = ("access_token" + unit * 250_000)[:250_000]
    started = time.process_time()

    redact(malicious)

    assert time.process_time() - started < 5


@given(any_text)
def test_every_secret_key_opens_what_its_sealing_key_sealed(secret: str) -> None:
    sealed = SealingKey(Vault([OLD]).sealing_key).seal(SecretStr(secret))

    assert Vault([NEW, OLD]).open(sealed).get_secret_value() == secret
    with pytest.raises(SealError):
        Vault([NEW]).open(sealed)


def test_rotation_seals_with_the_first_secret_key_what_a_sealing_key_sealed() -> None:
    sealed = SealingKey(Vault([OLD]).sealing_key).seal(SecretStr("one"))
    both, former = Vault([NEW, OLD]), Vault([OLD]).seal(SecretStr("one"))
    assert both.sealing_key == Vault([NEW]).sealing_key
    assert not both.is_current(former)

    rotated = both.rotate(sealed)

    assert (both.is_current(sealed), both.is_current(rotated)) == (False, True)
    assert Vault([NEW]).open(rotated).get_secret_value() == "one"


@pytest.mark.parametrize(
    "damage",
    [
        lambda sealed: sealed[:-4],
        lambda sealed: sealed[:60] + ("A" if sealed[60] != "A" else "B") + sealed[61:],
        lambda sealed: sealed + "\u00e9",
        lambda sealed: sealed.partition(".")[0] + ".",
        lambda sealed: sealed.partition(".")[2],
    ],
)
def test_changed_value_of_a_sealing_key_is_refused(damage: Callable[[str], str]) -> None:
    vault = Vault([NEW])
    sealed = SealingKey(vault.sealing_key).seal(SecretStr("one"))

    for attempt in (vault.open, vault.rotate):
        with pytest.raises(SealError):
            attempt(damage(sealed))


@pytest.mark.parametrize(
    "text",
    ["", pytest.param(new_key(), id="secret key"), "public1.", "public1.AAAA", "public1.\u00e9"],
)
def test_other_text_is_refused_as_sealing_key(text: str) -> None:
    with pytest.raises(SealError, match="secrets sealing-key"):
        SealingKey(text)


def test_sealing_key_is_no_secret_key() -> None:
    with pytest.raises(ValueError, match="Fernet"):
        Vault([SecretStr(Vault([NEW]).sealing_key)])


def test_value_of_a_sealing_key_is_redacted_and_the_public_key_is_not() -> None:
    public = Vault([NEW]).sealing_key
    sealed = SealingKey(public).seal(SecretStr("a"))

    assert redact(f"stored {sealed} with {public}") == f"stored {REDACTED} with {public}"


@pytest.mark.parametrize(
    ("text", "known", "redacted"),
    [
        ("sent abcdefgh to", ("abcd", "abcdefgh"), "sent [redacted] to"),
        (f"got {'aB3' * 18}x1", (), "got [redacted]"),
        (f"got {'aB3' * 18}x", (), f"got {'aB3' * 18}x"),
        (f"digest {'ab3' * 20}", (), f"digest {'ab3' * 20}"),
    ],
)
def test_longest_secret_and_every_long_random_run_are_redacted(
    text: str, known: tuple[str, ...], redacted: str
) -> None:
    assert redact(text, *known) == redacted
