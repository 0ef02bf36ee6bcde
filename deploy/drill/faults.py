"""The faults that an operator ends: what breaks, what names the cause, and how either interface recovers."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from playwright.sync_api import Locator

from deploy.drill.environment import Environment

Action = Callable[[Environment], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that an operator ends."""

    name: str
    cause: str
    """Words of the line that names it on top of the page and of `dravo status`."""
    breaks: Action
    heals: Action
    """Removes the cause, where others do that: the platform, the account's owner, a supervisor."""
    by_terminal: Action
    by_page: Action
    named: Callable[[Environment], bool] | None = None
    """Whether the terminal names it; without this, a line of `dravo status` does."""
    shown: Callable[[Environment], Locator] | None = None
    """Where the page names it; without this, a line on top does."""

    def is_named(self, environment: Environment) -> bool:
        """Return whether the terminal names it."""
        return self.named(environment) if self.named else environment.need(self.cause) is not None

    def place(self, environment: Environment) -> Locator:
        """Return where the page names it."""
        return self.shown(environment) if self.shown else environment.line(self.cause)


def _conditions(platform: str, **conditions: Any) -> tuple[Action, Action]:
    return (
        lambda environment: environment.behave(platform, conditions),
        lambda environment: environment.behave(platform, {}),
    )


def _advised(cause: str) -> Action:
    """Read `dravo status`, and give the command that its line names last."""

    def action(environment: Environment) -> None:
        environment.command("status")
        need = environment.need(cause)
        if need is not None:
            environment.command(need["to_do"].split("`")[-2].removeprefix("dravo "))

    return action


def _try(cause: str) -> Action:
    return lambda environment: environment.click(
        environment.line(cause).get_by_role("button", name="Try now")
    )


def _nothing(_environment: Environment) -> None:
    """Nothing is to be done."""


def _stop(name: str, cause: str, actions: tuple[Action, Action]) -> Fault:
    return Fault(name, cause, *actions, by_terminal=_advised(cause), by_page=_try(cause))


# The client secret: TikTok's tokens have ended, and the token endpoint refuses our application.

_REFUSED_CLIENT: Final = "The token endpoint refused our application"


def _break_secret(environment: Environment) -> None:
    refusal = {"error": "invalid_client", "error_description": "Client key or secret is incorrect."}
    fault = {"times": None, "path": "/v2/oauth/token", "status": 401, "text": json.dumps(refusal)}
    environment.behave("tiktok", {"faults": [fault]})
    for account in _accounts(environment, "tiktok"):
        path = f"/accounts/tiktok/{account['platform_account_id']}"
        environment.control("PATCH", path, {"access_token_expires_at": "2020-01-01T00:00:00Z"})


def _resync_by_page(environment: Environment) -> None:
    environment.click(environment.line(_REFUSED_CLIENT).get_by_role("link", name="Show"))
    environment.click(environment.page.get_by_role("link", name="Re-sync all of these"))
    environment.click(environment.page.get_by_role("button", name="Re-sync", exact=True))


# The block: Meta's code 368 stops the accounts.

_BLOCK: Final = {"error": {"message": "Blocked", "type": "OAuthException", "code": 368, "fbtrace_id": "A"}}
_BLOCKED: Final = "accounts on Facebook are"

# The reconnect: an owner has revoked the authorization, and gives it again.

_LOCKED: Final = "Instagram: 1 of 4 accounts"
_OWNER: Final = "acc_south_instagram"


def _revoke(environment: Environment) -> None:
    environment.control(
        "POST", f"/accounts/instagram/{_owner(environment)['platform_account_id']}/revoke", {}
    )


def _consent(environment: Environment) -> None:
    """Give the authorization again; the new token is left where both interfaces read it."""
    token = f"IGAA{uuid4().hex}"
    path = f"/accounts/instagram/{_owner(environment)['platform_account_id']}"
    environment.control("PATCH", path, {"revoked": False, "access_token": token})
    (environment.directory / "reconnected.jsonl").write_text(
        json.dumps({**_row(environment), "access_token": token})
    )


def _import_token(environment: Environment) -> None:
    environment.command("accounts --state requires_reconnect")
    environment.command(f"import accounts {environment.directory / 'reconnected.jsonl'}")


def _look_up_owner(environment: Environment) -> None:
    """See whose account it is; once its owner has consented, Dravo sends the event."""
    environment.click(environment.page.get_by_role("link", name=re.compile("^To reconnect")))
    environment.page.get_by_text(_OWNER, exact=True).first.wait_for()
    row = json.loads((environment.directory / "reconnected.jsonl").read_text())
    environment.send_event({"event_id": f"evt_{uuid4().hex}", "type": "account.reconnected", "data": row})
    environment.page.goto("/ops")


def _row(environment: Environment) -> dict[str, Any]:
    names = ("account_id", "workspace_id", "platform", "platform_account_id", "login", "scopes", "name")
    return {name: _owner(environment)[name] for name in names}


def _owner(environment: Environment) -> Mapping[str, Any]:
    return next(one for one in _accounts(environment, "instagram") if one["account_id"] == _OWNER)


def _accounts(environment: Environment, platform: str) -> list[dict[str, Any]]:
    accounts: list[dict[str, Any]] = environment.json("accounts", "--platform", platform)
    return accounts


# Pauses: somebody has paused a part of the fleet, and nobody remembers.


def _paused(scope: str, name: str, platform: str) -> Fault:
    def pauses(environment: Environment) -> list[Any]:
        return [
            one for one in environment.json("pauses") if one["subject"] == name or one["platform"] == platform
        ]

    def by_terminal(environment: Environment) -> None:
        explained = environment.command(f"why {name}")
        environment.command(explained.rpartition("`dravo ")[2].partition("`")[0])

    def shown(environment: Environment) -> Locator:
        rows = environment.page.get_by_role("region", name="Pauses").get_by_role("listitem")
        return rows.filter(has_text="forgotten by")

    return Fault(
        f"{scope} paused by somebody",
        "",
        lambda environment: environment.quietly(
            "pause", f"--{scope}", name, "--reason", "forgotten by somebody"
        ),
        _nothing,
        by_terminal,
        lambda environment: environment.click(shown(environment).get_by_role("button", name="Resume")),
        named=lambda environment: bool(pauses(environment)),
        shown=shown,
    )


# The quarantine: a publication carries the mark that workers leave which were killed while they refreshed it.

_MARK: Final = """
UPDATE refresh_state SET unfinished = 1000, reason = 'manual', next_run_at = now()
 WHERE publication_id = (SELECT max(p.id) FROM publications p
                           JOIN post_analytics pa ON pa.publication_id = p.id
                          WHERE p.platform = 'linkedin' AND pa.sync_status = 'synced')
"""
_QUARANTINED: Final = "in quarantine"


def _release(environment: Environment) -> None:
    environment.command("status")
    environment.command("quarantine list")
    (row,) = environment.json("quarantine", "list")
    environment.command(f"quarantine release {row['publication_id']}")


def _release_by_page(environment: Environment) -> None:
    environment.click(environment.line(_QUARANTINED).get_by_role("link", name="Show"))
    environment.click(environment.page.get_by_role("link", name="Release all of these"))
    environment.click(environment.page.get_by_role("button", name="Release", exact=True))


# Services that have died, and nothing starts them again.


def _start(service: str) -> Action:
    def action(environment: Environment) -> None:
        environment.command("status")
        environment.start(service)

    return action


def _kill_scheduler(environment: Environment) -> None:
    environment.kill("scheduler")
    environment.execute("UPDATE ops_summary SET counted_at = counted_at - interval '2 minutes'")


# Webhooks: a receiver wants no more, so its endpoint is disabled.

_DISABLED: Final = "Webhook endpoint"


def _set_receiver(status: int) -> Action:
    def action(environment: Environment) -> None:
        environment.receiver_status = status

    return action


def _enable(environment: Environment) -> None:
    environment.click(environment.line(_DISABLED).get_by_role("link", name="Show"))
    environment.click(environment.page.get_by_role("button", name=f"Enable {environment.webhook_id}"))


FAULTS: Final = (
    _stop("credits spent", "credits at X are used up", _conditions("x", credits_depleted=True)),
    _stop(
        "application blocked",
        "Facebook refuses our application",
        _conditions("facebook", application_blocked="blocked"),
    ),
    _stop(
        "API version ended",
        "no longer serves the API version",
        _conditions("linkedin", sunset_versions=["202609"]),
    ),
    _stop(
        "accounts blocked",
        _BLOCKED,
        _conditions("facebook", faults=[{"times": None, "status": 400, "text": json.dumps(_BLOCK)}]),
    ),
    Fault(
        "client secret wrong",
        _REFUSED_CLIENT,
        _break_secret,
        lambda environment: environment.behave("tiktok", {}),
        _advised(_REFUSED_CLIENT),
        _resync_by_page,
    ),
    Fault("authorization revoked", _LOCKED, _revoke, _consent, _import_token, _look_up_owner),
    _paused("platform", "tiktok", "tiktok"),
    _paused("workspace", "ws_south", ""),
    Fault(
        "publication in quarantine",
        _QUARANTINED,
        lambda environment: environment.execute(_MARK),
        _nothing,
        _release,
        _release_by_page,
    ),
    Fault(
        "no worker",
        "No worker is alive",
        lambda environment: environment.kill("worker"),
        _nothing,
        _start("worker"),
        Environment.restart,
    ),
    Fault(
        "no scheduler",
        "No scheduler reports",
        _kill_scheduler,
        _nothing,
        _start("scheduler"),
        Environment.restart,
    ),
    Fault(
        "webhook endpoint disabled",
        _DISABLED,
        _set_receiver(410),
        _set_receiver(204),
        _advised(_DISABLED),
        _enable,
    ),
)
"""Credits first: it is the one that comes at 3 a.m."""
