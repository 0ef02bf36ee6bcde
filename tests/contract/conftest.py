"""One fleet for all tests of this folder: services as processes, simulated platforms on real sockets."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BufferedReader, BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import psycopg
import pytest

from deploy.cli import run
from deploy.local.servers.server_process import free_port
from deploy.local.servers.valkey import Valkey
from deploy.simulators.environment import environment as simulated_platforms
from deploy.simulators.server import Simulators
from shared.accounts.vault import new_key
from shared.refresh_state.notifications import REFRESHED_CHANNEL
from tests.servers import CONTRACT_REDIS_DATABASE, Databases

TIMEOUT = 60.0
NOW = datetime.now(UTC).replace(microsecond=0)


@dataclass
class System:
    """A running scheduler, worker and API, with the means to use them."""

    environment: dict[str, str]
    simulators: Simulators
    api: httpx.Client
    logs: Path
    key: str = ""
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def dravo(self, *arguments: str, stdin: str = "", code: int = 0) -> Any:
        """Run a command with ``--json`` and return its document."""
        # In this process: the start of an interpreter takes longer than most commands.
        given = (*arguments, "--json")
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            mock.patch("sys.stdin", TextIOWrapper(BufferedReader(BytesIO(stdin.encode())))),
            redirect_stdout(StringIO()) as out,
            redirect_stderr(StringIO()) as err,
        ):
            ended = run(given)
        assert ended == code, f"{given}: {out.getvalue()}{err.getvalue()}"
        assert "Traceback" not in err.getvalue()
        return json.loads(out.getvalue()) if out.getvalue().strip() else None

    def get(self, **parameters: Any) -> Any:
        """Request a page of the API."""
        answer = self.api.get("/v1/analytics/posts", params=parameters)
        assert answer.status_code == httpx.codes.OK, answer.text
        return answer.json()

    def row(self, post_id: str) -> Any:
        """Request the only row of a post."""
        items = self.get(postId=post_id)["items"]
        assert len(items) == 1, items
        return items[0]

    def event(self, kind: str, event_id: str, **data: Any) -> httpx.Response:
        """Send an event as the rest of Dravo does."""
        token = self.environment["DRAVO_INTERNAL_TOKEN"]
        return self.api.post(
            "/internal/events",
            json={"event_id": event_id, "type": kind, "data": data},
            headers={"Authorization": f"Bearer {token}"},
        )

    def resync(self, post_id: str, code: int = 0) -> Any:
        """Re-sync one post by command, wait for its outcome, and return its row."""
        self.dravo("resync", "--post", post_id, "--wait", code=code)
        return self.row(post_id)

    def resync_once(self, post_id: str) -> Any:
        """Re-sync one post by command, wait for the end of one refresh of it, and return its row."""
        with self.listen() as listener:
            query = "SELECT id::text FROM publications WHERE post_id = %s"
            ((publication_id,),) = listener.execute(query, [post_id]).fetchall()
            self.dravo("resync", "--post", post_id)
            # Other publications may be refreshed at the same time.
            assert any(publication_id in one.payload.split(",") for one in listener.notifies(timeout=30))
        return self.row(post_id)

    def reconnect(self, event_id: str, platform: str, access_token: str) -> None:
        """Send the event of an owner who connects an account again, and re-sync its posts."""
        owner, _, _, _, scopes = ACCOUNTS[platform]
        answer = self.event(
            "account.reconnected",
            event_id,
            account_id=f"acc_{platform}",
            workspace_id="ws_1",
            platform=platform,
            platform_account_id=owner,
            access_token=access_token,
            scopes=scopes,
        )
        assert answer.is_success, answer.text
        self.dravo("resync", "--account", f"acc_{platform}", "--wait")
        rows = self.get(accountId=f"acc_{platform}", limit=100)["items"]
        assert "requires_reconnect" not in {row["sync_status"] for row in rows}

    def start(self, name: str) -> None:
        """Start a service with its command."""
        with (self.logs / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [str(Path(sys.executable).with_name("dravo")), name],
                env=self.environment,
                stderr=log,
                stdout=log,
            )

    def listen(self) -> psycopg.Connection[Any]:
        """Return a connection that is notified of finished interactive refreshes."""
        url = self.environment["DRAVO_DATABASE_URL"].replace("+psycopg", "")
        connection = psycopg.connect(url, autocommit=True)
        connection.execute(f"LISTEN {REFRESHED_CHANNEL}")
        return connection


@pytest.fixture(scope="package")
def system(
    tmp_path_factory: pytest.TempPathFactory, databases: Databases, valkey_server: Valkey
) -> Iterator[System]:
    """Run the fleet on an empty database that its commands migrate and fill from import files."""
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as stack:
        database = stack.enter_context(databases.fresh("contract"))
        redis = valkey_server.url_of(CONTRACT_REDIS_DATABASE)
        simulators = stack.enter_context(Simulators(seed=11))
        port = free_port()
        api = stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False)
        )
        system = System(_environment(database, redis, simulators, port), simulators, api, logs)
        stack.callback(_stop, system)
        _fill(system, logs)
        yield system


def _environment(database: str, redis: str, simulators: Simulators, port: int) -> dict[str, str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith("DRAVO_")}
    return {
        **outside,
        "DRAVO_DATABASE_URL": database,
        "DRAVO_REDIS_URL": redis,
        "DRAVO_SECRET_KEYS": new_key(),
        "DRAVO_INTERNAL_TOKEN": "internal-" + "t" * 40,
        "DRAVO_API_PORT": str(port),
        "DRAVO_TICK_SECONDS": "0.2",
        "DRAVO_RETRY_SECONDS": "0.05",
        "DRAVO_BREAKER_SECONDS": "0.5",
        "DRAVO_REFRESH_MIN_AGE_SECONDS": "0",
        **simulated_platforms(simulators.urls),
    }


ACCOUNTS = {
    "facebook": ("1000", None, "page", "EAA-page", ["read_insights", "pages_read_engagement"]),
    "instagram": (
        "178",
        "instagram",
        None,
        "IGAA-media",
        ["instagram_business_basic", "instagram_business_manage_insights"],
    ),
    "x": ("55", None, None, "x-user", ["tweet.read", "users.read", "offline.access"]),
    "linkedin": (
        "urn:li:organization:77",
        None,
        "organization",
        "AQ-page",
        ["rw_organization_admin", "r_organization_social"],
    ),
    "tiktok": ("tt1", None, None, "act.user", ["video.list", "video.publish"]),
}
POST_IDS = {
    "facebook": "1000_20{:02}",
    "instagram": "179000000000000{:02}",
    "x": "19900000000000000{:02}",
    "linkedin": "urn:li:share:73900000000000000{:02}",
    "tiktok": "75600000000000000{:02}",
}
COUNTERS = {
    "facebook": {"post_clicks": 41, "like": 30, "love": 7},
    "instagram": dict.fromkeys(
        ("views", "reach", "likes", "comments", "shares", "saved", "total_interactions"), 9
    ),
    "x": {"impression_count": 2913, "like_count": 58},
    "linkedin": {"impressionCount": 1190, "clickCount": 41, "likeCount": 17},
    "tiktok": {"view_count": 15420, "like_count": 988},
}
POSTS_EACH = 10


def _connect(system: System, platform: str) -> dict[str, Any]:
    """Create the account of a simulated platform; return its row for import."""
    from deploy.simulators.world import Account

    owner, login, kind, token, scopes = ACCOUNTS[platform]
    refresh = f"rft-{platform}" if platform in ("x", "linkedin", "tiktok") else None
    account = Account(
        platform,
        owner,
        token,
        login=login,
        kind=kind,
        scopes=frozenset(scopes),
        minted_at=NOW - timedelta(days=2),
        refresh_token=refresh,
    )
    system.simulators.world.add_accounts([account])
    return {
        "account_id": f"acc_{platform}",
        "workspace_id": "ws_1",
        "platform": platform,
        "platform_account_id": owner,
        "login": login,
        "kind": kind if platform == "linkedin" else None,
        "access_token": token,
        "refresh_token": refresh,
        "token_expires_at": None,
        "scopes": scopes,
        "name": platform.title(),
    }


def _publish(system: System, platform: str, number: int) -> dict[str, Any]:
    """Create a post on a simulated platform; return its row for import."""
    from deploy.simulators.world import Post

    owner, *_ = ACCOUNTS[platform]
    created_at = NOW - timedelta(days=40, hours=number)
    platform_post_id = POST_IDS[platform].format(number)
    counters = COUNTERS[platform]
    post = Post(platform, platform_post_id, owner, created_at, media_type="IMAGE", counters=counters)
    system.simulators.world.add_posts([post])
    return {
        "post_id": f"post_{platform}_{number}",
        "account_id": f"acc_{platform}",
        "platform_post_id": platform_post_id,
        "media_type": "IMAGE" if platform == "instagram" else "",
        "text": f"Post {number}",
        "created_at": created_at.isoformat(),
    }


def _fill(system: System, files: Path) -> None:
    account_rows = [_connect(system, platform) for platform in ACCOUNTS]
    publication_rows = [_publish(system, platform, n) for platform in ACCOUNTS for n in range(POSTS_EACH)]
    system.dravo("migrate")
    lines = "".join(json.dumps(row) + "\n" for row in account_rows)
    assert system.dravo("import", "accounts", "-", stdin=lines)["accepted"] == len(account_rows)
    with (files / "publications.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, publication_rows[0].keys())
        writer.writeheader()
        writer.writerows(publication_rows)
    assert system.dravo("import", "publications", str(files / "publications.csv"))["accepted"] == len(
        publication_rows
    )
    system.key = system.dravo("keys", "create", "--workspace", "ws_1")["key"]
    system.api.headers["Authorization"] = f"Bearer {system.key}"
    for name in ("scheduler", "worker", "api"):
        system.start(name)
    system.dravo("resync", "--all", "--wait")
    system.dravo("status")


def _stop(system: System) -> None:
    for process in system.processes.values():
        process.terminate()
    for process in system.processes.values():
        process.wait(TIMEOUT)
