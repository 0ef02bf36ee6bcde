"""The control host: other processes add accounts and posts, inject faults and read the request log here.

JSON in and out, on loopback only, without credentials: no real platform has it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import httpx

from deploy.simulators.behaviour import Behaviour, read_conditions
from deploy.simulators.request_log import RequestLog
from deploy.simulators.state import read, read_changes
from deploy.simulators.truth import number_now
from deploy.simulators.world import Account, Application, Post, World

REQUESTS_PAGE = 10_000


class Control:
    """The routes of the control host.

    `POST /accounts`, `POST /posts`: arrays; `?if_absent=1` leaves known ones alone
    `POST /applications`: array, our apps with their secrets; kept in memory, not in the state file
    `PATCH /accounts/{platform}/{id}`, `PATCH /posts/{platform}/{id}`: the fields to change
    `POST /accounts/{platform}/{id}/revoke` (`{"code": …}`), `POST /posts/{platform}/{id}/delete`
    `POST /truth`: array of `platform` and `platform_post_id`; answers with the leading `numbers` of now
    `GET /requests?since=`, `GET /requests/summary`: the request log
    `PUT /behaviour/{platform}`: replaces the platform's `Conditions` · `POST /reset` · `GET /healthz`
    """

    def __init__(self, world: World, request_log: RequestLog, behaviours: Mapping[str, Behaviour]) -> None:
        self._world = world
        self._ledger = request_log
        self._behaviours = behaviours

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request: 200, 400 with a sentence, or 404."""
        target = request.extensions.get("target", request.url.raw_path).decode("ascii").partition("?")[0]
        parts = [unquote(part) for part in target.strip("/").split("/")]
        try:
            answer = self._route(request, parts)
        except KeyError as error:
            return httpx.Response(404, json={"error": f"unknown: {error}"})
        except (TypeError, ValueError) as error:
            return httpx.Response(400, json={"error": str(error)})
        return httpx.Response(200, content=json.dumps(answer, default=_plain), headers=_JSON)

    def _route(self, request: httpx.Request, parts: list[str]) -> dict[str, Any]:
        body: Any = json.loads(request.content) if request.content else {}
        match request.method, *parts:
            case "GET", "healthz":
                return {"status": "ok"}
            case "GET", "requests":
                return self._entries(int(request.url.params.get("since", "0")))
            case "GET", "requests", "summary":
                return {"counts": self._ledger.summary()}
            case "PUT", "behaviour", platform:
                self._behaviours[platform].set_conditions(read_conditions(body))
                return {}
            case "POST", "reset":
                self._reset()
                return {}
            case "POST", "truth":
                posts = [(str(one["platform"]), str(one["platform_post_id"])) for one in body]
                return {"numbers": [number_now(self._world, platform, one) for platform, one in posts]}
            case "POST", collection:
                return self._add(collection, body, if_absent=request.url.params.get("if_absent") == "1")
            case method, collection, platform, one, *action:
                self._change((method, collection, *action), platform, one, body)
                return {}
            case _:
                raise KeyError("/" + "/".join(parts))

    def _add(self, collection: str, body: Any, *, if_absent: bool) -> dict[str, Any]:
        match collection:
            case "accounts":
                accounts = [read(Account, one) for one in body]
                return {"changed": self._world.add_accounts(accounts, if_absent=if_absent)}
            case "posts":
                posts = [read(Post, one) for one in body]
                return {"changed": self._world.add_posts(posts, if_absent=if_absent)}
            case "applications":
                applications = {one["platform"]: Application(**one) for one in body}
                self._world.applications.update(applications)
                return {"changed": len(applications)}
            case _:
                raise KeyError(f"/{collection}")

    def _change(self, action: tuple[str, ...], platform: str, one: str, body: Any) -> None:
        match action:
            case "PATCH", "accounts":
                self._world.change_account(platform, one, **read_changes(Account, body))
            case "PATCH", "posts":
                self._world.change_post(platform, one, **read_changes(Post, body))
            case "POST", "accounts", "revoke":
                self._world.revoke(platform, one, body.get("code"))
            case "POST", "posts", "delete":
                self._world.delete_post(platform, one)
            case _:
                raise KeyError(" ".join(action))

    def _entries(self, since: int) -> dict[str, Any]:
        entries = self._ledger.entries(since)[:REQUESTS_PAGE]
        last = entries[-1].seq if entries else since
        return {"entries": [asdict(entry) for entry in entries], "last": last}

    def _reset(self) -> None:
        self._world.clear()
        self._ledger.clear()
        for behaviour in self._behaviours.values():
            behaviour.reset()


_JSON = {"content-type": "application/json"}


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not a JSON value")
