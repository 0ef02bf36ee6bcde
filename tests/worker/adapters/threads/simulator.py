"""Simulated Threads API: insights of one post, and the renewal of tokens.

Written from https://developers.facebook.com/docs/threads alone. Bucket for `Conditions.limits`: `profile`.
"""

from datetime import timedelta

import httpx

from deploy.simulators.behaviour import Behaviour, Limit
from deploy.simulators.refusal import RefusedError, bearer_of, is_over, target_of
from deploy.simulators.request_log import note
from deploy.simulators.world import Account, World

HOST = "graph.threads.net"
METRICS = {"views": 1.0, "likes": 0.05, "replies": 0.01, "reposts": 0.01, "quotes": 0.002, "shares": 0.004}
"""The metrics, each with its usual share of a post's size. `Post.counters` takes these names."""

PROFILE = Limit(4800, 86_400.0)
LIFE = timedelta(days=60)
SCOPES = frozenset({"threads_basic", "threads_manage_insights"})


class Threads:
    """The one host."""

    def __init__(self, world: World, behaviour: Behaviour) -> None:
        self._world = world
        self._behaviour = behaviour

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        path, _ = target_of(request)
        endpoint, ids = "unknown", list[str]()
        try:
            match request.method, path.split("/")[1:]:
                case "GET", ["v1.0", post_id, "insights"]:
                    endpoint, ids = "insights", [post_id]
                    response = self._insights(request, post_id)
                case "GET", ["refresh_access_token"]:
                    endpoint = "token"
                    response = self._renew(request)
                case _:
                    response = _error(2500, f"Unknown path components: {path}").response
        except RefusedError as refused:
            response = refused.response
        return note(response, endpoint, ids)

    def _insights(self, request: httpx.Request, post_id: str) -> httpx.Response:
        account = self._account(bearer_of(request))
        if not account.scopes >= SCOPES:
            raise _error(10, "Application does not have permission for this action", status=403)
        key = account.platform_account_id
        if not self._behaviour.spend(
            "profile", key, self._world.now(), default=PROFILE, count_refused=True
        ).allowed:
            raise _error(613, "Calls to this api have exceeded the rate limit.")
        names = request.url.params.get("metric", "").split(",")
        if any(name not in METRICS or name in self._behaviour.conditions.retired_metrics for name in names):
            raise _error(100, f"metric[0] must be one of the following values: {', '.join(METRICS)}")
        post = self._world.post("threads", post_id)
        if post is None or post.deleted or post.owner != account.platform_account_id:
            raise _error(100, f"Object with ID '{post_id}' does not exist", subcode=33)
        rows = [
            {"name": name, "values": [{"value": self._world.count(post, name, METRICS[name])}]}
            for name in names
        ]
        return httpx.Response(200, json={"data": rows})

    def _renew(self, request: httpx.Request) -> httpx.Response:
        account = self._account(request.url.params.get("access_token"))
        if request.url.params.get("grant_type") != "th_refresh_token":
            raise _error(100, "Invalid parameter")
        renewed = self._world.rotate(account, access_life=LIFE)
        answer = {"access_token": renewed.access_token, "expires_in": int(LIFE.total_seconds())}
        return httpx.Response(200, json={**answer, "token_type": "bearer"})

    def _account(self, token: str | None) -> Account:
        account = self._world.holder(token or "", "threads")
        if account is None or account.revoked:
            raise _error(190, "Invalid OAuth access token", status=401)
        if is_over(account.access_token_expires_at, self._world.now()):
            raise _error(190, "Error validating access token: Session has expired", subcode=463)
        return account


def _error(code: int, message: str, *, status: int = 400, subcode: int | None = None) -> RefusedError:
    error = {"message": message, "type": "THApiException", "code": code, "error_subcode": subcode}
    fields = {name: value for name, value in error.items() if value is not None}
    return RefusedError(httpx.Response(status, json={"error": fields}))
