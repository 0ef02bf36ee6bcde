"""Ids that arrive after their publication: its row is due, whatever it waited for."""

from sqlalchemy import Engine

from shared.accounts import states as account_state
from tests.shared.ingestion.rows import account, publication, states, store, store_accounts, stored


def test_late_id_completes_the_waiting_publication(engine: Engine) -> None:
    store_accounts(engine, account())
    early = publication(platform_post_id=None)
    store(engine, early)
    assert (states(engine)[0]["reason"], states(engine)[0]["next_run_at"]) == ("stopped", None)

    assert store(engine, publication()).accepted == 1

    (row,) = states(engine)
    assert (row["platform_post_id"], row["reason"], row["due"]) == ("18000000000000000", "new", True)
    assert store(engine, early).unchanged == 1, "the older file changes nothing"


def test_late_id_of_a_blocked_row_makes_it_due_if_the_account_is_active(engine: Engine) -> None:
    store_accounts(engine, account())
    store(engine, publication(platform_post_id=None))
    with engine.begin() as connection:
        account_state.require_reconnect(connection, "ws_1", "acc_1", "Reconnect it.")
        account_state.reconnect(connection, "ws_1", "acc_1")

    store(engine, publication())

    assert (states(engine)[0]["reason"], states(engine)[0]["due"]) == ("new", True)


def test_late_id_ends_an_open_claim(engine: Engine) -> None:
    store_accounts(engine, account(platform="tiktok"))
    store(engine, publication(platform_post_id=None, publish_id="v1"))
    stored(
        engine,
        "UPDATE refresh_state SET claimed_at = now(), claim_seq = 1, reason = 'claimed',"
        " next_run_at = now() + interval '1 minute' RETURNING 1",
    )

    store(engine, publication(platform_post_id="71", publish_id="v1"))

    (row,) = states(engine)
    assert (row["reason"], row["due"], row["claim_seq"]) == ("new", True, 2)


def test_late_id_resets_the_row_unless_it_is_quarantined(engine: Engine) -> None:
    store_accounts(engine, account(platform="tiktok"), account(account_id="acc_2", platform="tiktok"))
    names = ("worn", "poison", "without an account's reason", "known")
    for name in names:
        owner = "acc_2" if name.startswith("without") else "acc_1"
        store(
            engine, publication(post_id=name, account_id=owner, platform_post_id=None, publish_id=f"v {name}")
        )
    store(engine, publication(post_id="known", platform_post_id="pp known", publish_id="v known"))
    stored(
        engine,
        "UPDATE refresh_state SET claimed_at = now(), claim_seq = 4, reason = 'claimed', attempts = 3,"
        " unfinished = 2, missing_since = now(), next_run_at = now() + interval '1 minute' RETURNING 1",
    )
    stored(
        engine,
        "UPDATE refresh_state SET reason = 'quarantined' WHERE publication_id ="
        " (SELECT id FROM publications WHERE post_id = 'poison') RETURNING 1",
    )
    stored(engine, "UPDATE accounts SET state = 'disconnected' WHERE account_id = 'acc_2' RETURNING 1")

    for name in names:
        owner = "acc_2" if name.startswith("without") else "acc_1"
        row = publication(
            post_id=name, account_id=owner, platform_post_id=f"pp {name}", publish_id=f"v {name}"
        )
        store(engine, row | ({"text": "edited"} if name == "known" else {}), priority=1)

    columns = (
        "claimed_at",
        "claim_seq",
        "attempts",
        "unfinished",
        "missing_since",
        "reason",
        "due",
        "priority",
    )
    states_of = {row["post_id"]: tuple(row[name] for name in columns) for row in states(engine)}
    assert states_of["worn"] == (None, 5, 0, 0, None, "new", True, 1)
    assert states_of["without an account's reason"] == (None, 5, 0, 0, None, "blocked", None, 1)
    assert [states_of[name][1:4] for name in ("poison", "known")] == [(4, 3, 2), (4, 3, 2)]
    assert [states_of[name][5:] for name in ("poison", "known")] == [
        ("quarantined", False, 0),
        ("claimed", False, 0),
    ]
