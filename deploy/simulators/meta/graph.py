"""The parts that Meta's two hosts share: routing, nodes, requests for several ids, batches, counted calls.

Each platform's own module provides its nodes (page posts, Instagram media) through `Nodes`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol
from zlib import crc32

import httpx

from deploy.simulators.behaviour import Behaviour
from deploy.simulators.meta import errors, tokens
from deploy.simulators.meta.batch import batch_call, batch_items
from deploy.simulators.meta.call import Call, authorize, modifier, parse, split_fields
from deploy.simulators.meta.errors import INSTAGRAM_HOST, GraphError
from deploy.simulators.meta.limits import APP, Bucket, usage_headers
from deploy.simulators.request_log import note
from deploy.simulators.world import Account, Post, World

MAX_IDS = 50

MISSING = object()
"""A field that is left out of an answer."""


class Nodes(Protocol):
    """The objects of one platform, as nodes of the graph."""

    platform: str

    def post(self, object_id: str, accounts: Sequence[Account]) -> Post | None:
        """Return the post with this id, readable or not, for the accounts of the token."""

    def insights(
        self, call: Call, account: Account, post: Post, object_id: str, metrics: str | None
    ) -> list[dict[str, Any]]:
        """Return the rows of the `insights` edge. Raises `GraphError`."""

    def field(self, call: Call, account: Account, post: Post, name: str) -> Any:
        """Return a field's value, or `MISSING`. Raises `GraphError` for a field that the node lacks."""

    def myself(self, call: Call, account: Account) -> dict[str, Any]:
        """Return all fields of the account's own node."""

    def bucket(self, account: Account) -> Bucket:
        """Return the limit against which calls for this account count."""


class Graph:
    """One platform's nodes behind a Graph host."""

    def __init__(self, world: World, behaviour: Behaviour, nodes: Nodes) -> None:
        self._world = world
        self._behaviour = behaviour
        self._nodes = nodes

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        host, path = request.url.host, request.url.path
        headers = {"content-type": _content_type(host, path)}
        endpoint, ids, calls, status, outcome = "unparsable", list[str](), 1, 200, None
        body: Any
        try:
            call = replace(parse(request), headers=headers)
            if blocked := self._behaviour.conditions.application_blocked:
                raise errors.application_blocked(blocked)
            if call.method == "POST" and not call.path:
                items = batch_items(call)
                endpoint, ids, calls = "batch", [_object(one) for one in items], len(items)
                body = self._batch(call, items)
            else:
                endpoint, ids = _endpoint(call)
                calls = max(1, len(ids))
                body = self._answer(call)
        except GraphError as error:
            body, status, outcome = error.envelope(host), error.status, error.outcome
        response = httpx.Response(status, headers=headers, content=_dumps(body))
        return note(response, endpoint, ids, calls=calls, outcome=outcome)

    def _answer(self, call: Call) -> Any:
        if grant := tokens.ENDPOINTS.get((call.host, call.path)):
            return grant(self._world, call)
        accounts = authorize(self._world, call, self._nodes.platform)
        ids = call.ids() if not call.path else [call.path[0]]
        self._spend(call, self._payer(accounts, ids), max(1, len(ids)))
        if call.method != "GET":
            raise errors.missing_object("/".join(call.path), call.method.lower())
        if call.path[:1] == ("me",):
            return self._about_me(call, accounts)
        match call.path:
            case ():
                return self._many(call, accounts, ids)
            case (one,) if any(one == account.platform_account_id for account in accounts):
                return self._account_node(call, self._payer(accounts, [one]))
            case (one,):
                return self._node(call, accounts, one)
            case (one, "insights"):
                return self._edge(call, accounts, one, call.parameters.get("metric"), single=True)
            case (one, "insights", metric):
                return self._edge(call, accounts, one, metric, single=True)
            case _:
                raise errors.nonexistent_field(call.path[-1], "Post")

    def _about_me(self, call: Call, accounts: Sequence[Account]) -> dict[str, Any]:
        match call.path[1:]:
            case ():
                return self._account_node(call, accounts[0])
            case ("permissions",):
                granted = sorted(accounts[0].scopes)
                return {"data": [{"permission": scope, "status": "granted"} for scope in granted]}
            case ("accounts",) if call.host != INSTAGRAM_HOST:
                return {"data": [_page(account) for account in accounts]}
            case _:
                raise errors.nonexistent_field(call.path[1], "User")

    # Nodes

    def _many(self, call: Call, accounts: Sequence[Account], ids: Sequence[str]) -> dict[str, Any]:
        """Answer `?ids=…&fields=…`: all ids, or only the first error."""
        if not ids:
            raise errors.missing_object("")
        if code := self._behaviour.conditions.multi_ids_refused:
            raise GraphError(code, "Application does not have the capability to make this API call.")
        if len(ids) > MAX_IDS:
            raise GraphError(100, f"Too many IDs. Maximum: {MAX_IDS}. Provided: {len(ids)}")
        for one in ids:
            if self._nodes.post(one, accounts) is None:
                raise errors.unknown_alias(one)
        return {one: self._node(call, accounts, one) for one in ids}

    def _node(self, call: Call, accounts: Sequence[Account], object_id: str) -> dict[str, Any]:
        post, account = self._readable(accounts, object_id)
        node: dict[str, Any] = {}
        for name, modifiers in split_fields(str(call.parameters.get("fields", ""))):
            if name == "insights":
                metrics = modifier(modifiers, "metric") or None
                node[name] = self._edge(call, accounts, object_id, metrics, single=False)
            elif name != "id" and (value := self._nodes.field(call, account, post, name)) is not MISSING:
                node[name] = value
        return node | {"id": object_id}

    def _edge(
        self, call: Call, accounts: Sequence[Account], object_id: str, metrics: str | None, *, single: bool
    ) -> dict[str, Any]:
        post, account = self._readable(accounts, object_id)
        rows = self._nodes.insights(call, account, post, object_id, metrics)
        first = crc32(f"{object_id}{metrics}".encode()) % max(1, len(rows))  # the order is not promised
        for row in rows:
            row["id"] = f"{object_id}/insights/{row['name']}/lifetime"
        edge: dict[str, Any] = {"data": rows[first:] + rows[:first]}
        if not single or self._nodes.platform == "facebook":
            url = f"https://{call.host}/{call.version or 'v25.0'}/{object_id}/insights"
            query = f"?access_token={call.token}&metric={metrics}&period=lifetime"
            edge["paging"] = {"previous": f"{url}{query}&until=0", "next": f"{url}{query}&since=1"}
        return edge

    def _readable(self, accounts: Sequence[Account], object_id: str) -> tuple[Post, Account]:
        if not object_id.replace("_", "").isdecimal():
            raise errors.unknown_alias(object_id)
        post = self._nodes.post(object_id, accounts)
        if post is None or post.deleted or post.private or self._behaviour.conditions.posts_vanish:
            raise errors.missing_object(object_id)
        for account in accounts:
            if account.platform_account_id == post.owner:
                return post, account
        raise errors.missing_object(object_id)

    def _account_node(self, call: Call, account: Account) -> dict[str, Any]:
        known = self._nodes.myself(call, account)
        names = [name for name, _ in call.fields()] or ["id", "name"]
        for name in names:
            if name not in known:
                raise errors.nonexistent_field(name, "User")
        return {name: known[name] for name in dict.fromkeys([*names, "id"])}

    # Limits

    def _payer(self, accounts: Sequence[Account], ids: Sequence[str]) -> Account:
        """Return the account against whose limit a call counts: the first post's owner."""
        if len(accounts) > 1 and ids:
            post = self._nodes.post(ids[0], accounts)
            owner = post.owner if post else ids[0]
            return next((one for one in accounts if one.platform_account_id == owner), accounts[0])
        return accounts[0]

    def _spend(self, call: Call, account: Account, calls: int) -> None:
        """Count calls (refused ones too), set the usage headers, and refuse calls over a limit."""
        now = self._world.now()
        bucket, key = self._nodes.bucket(account), account.platform_account_id
        app = self._behaviour.spend(APP.name, "", now, default=APP.usual, calls=calls, count_refused=True)
        own = self._behaviour.spend(
            bucket.name, key, now, default=bucket.usual, calls=calls, count_refused=True
        )
        for name, value in usage_headers(bucket, key, app, own, now=now.timestamp()).items():
            if self._behaviour.conditions.limit_headers == "right":
                call.headers[name] = json.dumps(value)
            elif self._behaviour.conditions.limit_headers == "malformed":
                call.headers[name] = json.dumps(value)[:-3]
        if not app.allowed:
            raise errors.too_many_calls(APP.code)
        if not own.allowed:
            raise errors.too_many_calls(bucket.code)

    # Batch

    def _batch(self, call: Call, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any] | None]:
        authorize(self._world, call, self._nodes.platform)
        late = self._behaviour.conditions.timed_out_items
        with_headers = str(call.parameters.get("include_headers", "true")).lower() != "false"
        answers: list[dict[str, Any] | None] = []
        for place, item in enumerate(items):
            if place in late:
                answers.append(None)
                continue
            status, body = 200, None
            try:
                body = self._answer(batch_call(call, item))
            except GraphError as error:
                if error.outcome == "refused_limit" and not any(answers):
                    raise
                status, body = error.status, error.envelope(call.host)
            answer = {"code": status, "body": _dumps(body)}
            if with_headers:
                answer["headers"] = [{"name": name, "value": value} for name, value in call.headers.items()]
            answers.append(answer)
        return answers


def _endpoint(call: Call) -> tuple[str, list[str]]:
    """Return the endpoint's name for the request log, and the requested ids."""
    if (call.host, call.path) in tokens.ENDPOINTS:
        return "_".join(call.path), []
    if not call.path:
        return "multi_id", call.ids()
    if call.path[0] == "me":
        return "_".join(call.path), []
    return ("insights" if "insights" in call.path else "node"), [call.path[0]]


def _object(item: Mapping[str, Any]) -> str:
    return str(item.get("relative_url", "")).lstrip("/").partition("?")[0].partition("/")[0]


def _page(account: Account) -> dict[str, Any]:
    return {
        "id": account.platform_account_id,
        "name": account.name,
        "access_token": account.access_token,
        "tasks": ["ANALYZE"],
    }


def _content_type(host: str, path: str) -> str:
    """Return the content type; some JSON answers of graph.facebook.com are declared a script."""
    script = host != INSTAGRAM_HOST and crc32(path.encode()) % 4 == 0
    return "text/javascript; charset=UTF-8" if script else "application/json; charset=UTF-8"


def _dumps(body: Any) -> str:
    return json.dumps(body, separators=(",", ":")).replace("/", "\\/")
