"""Isolation of workspaces: generated queries find no row of another workspace."""

from typing import Any, LiteralString
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_stub.posts import statements
from tests.api_stub.support import CREATED_AT, POSTS, Api

IDS = ("shared_post", "post_ws_1", "post_ws_2", "there_1", "there_2", "publish_1", "publish_2")
QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "postId": st.sampled_from(IDS) | st.text(min_size=1, max_size=8),
        "accountId": st.sampled_from(("acc_1", "acc_2", "acc_tiktok_1", "acc_tiktok_2", "' OR 1=1 --")),
        "platform": st.sampled_from(("instagram", "tiktok", "x")),
        "fromDate": st.sampled_from(("2026-06-23", "2026-06-23T10:15:30Z", "2020-01-01")),
        "toDate": st.sampled_from(("2026-06-23", "2027-01-01")),
        "page": st.integers(1, 3),
        "limit": st.integers(1, 100),
        "refresh": st.just("true"),
    },
)


def fill(api: Api) -> dict[str, dict[str, str]]:
    api.rows.account("acc_2", workspace="ws_2")
    for n in (1, 2):
        api.rows.account(f"acc_tiktok_{n}", workspace=f"ws_{n}", platform="tiktok")
        api.rows.publication(f"acc_{n}", post_id=f"post_ws_{n}", platform_post_id=f"there_{n}")
        api.rows.publication(f"acc_{n}", post_id=f"only_{n}", platform_post_id="same_there")
        api.rows.publication(
            f"acc_tiktok_{n}", post_id=f"tiktok_{n}", platform_post_id=None, publish_id=f"publish_{n}"
        )
    return {f"ws_{n}": {"Authorization": f"Bearer {api.rows.key(f'ws_{n}')}"} for n in (1, 2)}


def test_no_query_finds_a_row_of_another_workspace(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.service.refresher, "_wait_seconds", 0.0)
    monkeypatch.setattr(api.service.forced, "spend", lambda _subject: None)
    callers = fill(api)

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(workspace=st.sampled_from(sorted(callers)), query=QUERIES)
    def holds(workspace: str, query: dict[str, Any]) -> None:
        answer = api.get(params=query, headers=callers[workspace])
        assert answer.status_code in {200, 400}
        for item in answer.json().get("items", ()):
            assert item["account_id"].endswith(workspace[-1])
        if answer.status_code == 200 and answer.json()["page"] == 1:
            assert answer.json()["total"] <= 3
        history = api.get(
            f"{POSTS}/{quote(str(query.get('postId', 'x')), safe='')}/history", headers=callers[workspace]
        )
        assert history.status_code in {200, 400, 404}
        for publication in history.json().get("publications", ()):
            assert publication["account_id"].endswith(workspace[-1])

    holds()
    assert CREATED_AT


def test_every_statement_of_the_read_path_names_the_workspace() -> None:
    shape = statements.Shape(*[False] * 5)
    fixed = [getattr(statements, name) for name in vars(statements) if name.isupper() and name[0] != "_"]
    read = [statement for statement in fixed if statement.lstrip().startswith(("SELECT", "WITH"))]

    assert len(read) >= 7
    for statement in (*read, statements.page(shape), statements.deep_page_start(shape)):
        assert "%(workspace)s" in statement


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT sealed_access_token FROM accounts",
        "UPDATE post_analytics SET metrics = '{}'",
        "DELETE FROM publications",
        "INSERT INTO api_keys (key_id, workspace_id, key_hash) VALUES ('k', 'w', 'h')",
        "UPDATE refresh_state SET claim_seq = 0",
    ],
)
def test_database_role_refuses_what_the_read_path_does_not_need(api: Api, statement: LiteralString) -> None:
    async def attempt() -> None:
        async with api.service.database.connection() as connection:
            await connection.execute(statement)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        api.run(attempt())
