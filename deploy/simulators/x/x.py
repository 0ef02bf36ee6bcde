"""Simulated X API v2: posts looked up with their metrics, usage, and OAuth 2.0 tokens.

Written from https://docs.x.com: x-api/posts/lookup, x-api/fundamentals/{metrics,rate-limits,
response-codes-and-errors,post-cap}, x-api/getting-started/pricing, fundamentals/authentication.

`GET /2/tweets` · `GET /2/tweets/{id}` · `GET /2/users/me` · `GET /2/usage/tweets` · `POST /2/oauth2/token` ·
`POST /2/oauth2/revoke`. Tokens: OAuth 2.0 of a user, or the app's own (`APP_BEARER`). Not simulated: OAuth
1.0a, expansions (a 400), analytics. Rate-limit windows start at multiples of 15 minutes.
Buckets for `Conditions.limits`: those of `LIMITS`, and `post_reads_per_month` (whose `calls` is the cap,
whatever its seconds).
"""

import re
from collections.abc import Callable
from datetime import UTC, date

import httpx

from deploy.simulators.behaviour import Behaviour, Limit, LimitDecision
from deploy.simulators.refusal import RefusedError, bearer_of, is_over, target_of
from deploy.simulators.request_log import note
from deploy.simulators.world import Account, World
from deploy.simulators.x import answers
from deploy.simulators.x.billing import Billing
from deploy.simulators.x.oauth import CLIENT_SECRET, Tokens
from deploy.simulators.x.posts import FIELDS, Posts

APP_BEARER = "simulated-x-app-bearer"
SCOPES = frozenset({"tweet.read", "users.read"})
MAX_IDS = 100

LIMITS = {"tweets:user": 5000, "tweets:app": 3500, "tweet:user": 900, "tweet:app": 450, "me": 75, "usage": 50}
"""Calls in 15 minutes, for each user's token or for the app."""
WINDOW_SECONDS = 900.0
MONTHLY_CAP = 3_000_000

_ID = re.compile(r"[0-9]{1,19}")
_LARGEST_ID = 2**63 - 1
_Answer = Callable[[httpx.Request, Account | None], httpx.Response]


class X:
    """The API host; `billing` counts what its app pays for.

    `client_secret=None` makes the app a public client, which sends its id in the body.
    """

    def __init__(
        self, world: World, behaviour: Behaviour, *, client_secret: str | None = CLIENT_SECRET
    ) -> None:
        self.billing = Billing()
        self._world = world
        self._behaviour = behaviour
        self._posts = Posts(world, behaviour)
        self._tokens = Tokens(world, client_secret)
        world.watch(self._forget_reads)

    @property
    def billed_reads(self) -> int:
        """Return the billed post reads: distinct posts, summed over UTC days."""
        return self.billing.reads()

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        path, _ = target_of(request)
        match request.method, path.split("/")[1:]:
            case "GET", ["2", "tweets"]:
                response = self._guarded(request, "tweets", self._tweets)
            case "GET", ["2", "tweets", one]:
                response = self._guarded(request, "tweet", lambda ask, by: self._tweet(ask, by, one), one)
            case "GET", ["2", "users", "me"]:
                response = self._guarded(request, "me", _me)
            case "GET", ["2", "usage", "tweets"]:
                response = self._guarded(request, "usage", self._usage)
            case "POST", ["2", "oauth2", "token"]:
                response = note(_or_refusal(self._tokens.refresh, request), "oauth2/token")
            case "POST", ["2", "oauth2", "revoke"]:
                response = note(_or_refusal(self._tokens.revoke, request), "oauth2/revoke")
            case _:
                response = note(answers.about_blank(404, "Not Found"), "unknown")
        response.headers["api-version"] = "2.167" if self._behaviour.conditions.renamed_answer else "2.166"
        return response

    # Authentication, rate limits and billing

    def _guarded(
        self, request: httpx.Request, endpoint: str, answer: _Answer, one: str = ""
    ) -> httpx.Response:
        """Answer if the caller is known and within its limits, and set the rate-limit headers."""
        spent = None
        try:
            caller = self._caller(request, endpoint)
            spent = self._spend(endpoint, caller)
            refusal = (
                None if spent.allowed else answers.too_many(legacy=self._behaviour.conditions.legacy_refusals)
            )
            response = refusal or answer(request, caller)
        except RefusedError as refused:
            response = refused.response
        if spent is not None:
            self._show(response, spent)
        ids = request.url.params.get("ids", one)
        return note(response, endpoint, tuple(filter(None, ids.split(","))))

    def _caller(self, request: httpx.Request, endpoint: str) -> Account | None:
        """Return the token's user, or None for the app itself."""
        token = bearer_of(request) or ""
        account = None if token == APP_BEARER else self._world.holder(token, "x")
        if token != APP_BEARER and (
            account is None or account.revoked or is_over(account.access_token_expires_at, self._world.now())
        ):
            raise RefusedError(answers.about_blank(401, "Unauthorized"))
        if self._behaviour.conditions.not_enrolled:
            detail = "The client app is not enrolled in a package that may use this endpoint."
            raise RefusedError(
                answers.forbidden(
                    "client-forbidden", "Client Forbidden", detail, reason="client-not-enrolled"
                )
            )
        if account is None:
            if endpoint == "me":
                raise RefusedError(_unsupported("OAuth 2.0 Application-Only"))
            return None
        self._check_user(account, endpoint)
        return account

    def _check_user(self, account: Account, endpoint: str) -> None:
        if account.suspended:
            detail = "The user authenticating this request is suspended."
            raise RefusedError(answers.forbidden("user-suspended", "Forbidden", detail))
        if endpoint == "usage":
            raise RefusedError(_unsupported("OAuth 2.0 User Context"))
        if not account.scopes >= SCOPES:
            # The vendor documents no message for this.
            missing = ", ".join(sorted(SCOPES - account.scopes))
            detail = f"The token lacks the required scope: {missing}."
            raise RefusedError(answers.about_blank(403, "Forbidden", detail))

    def _spend(self, endpoint: str, caller: Account | None) -> LimitDecision:
        bucket = endpoint if endpoint in LIMITS else f"{endpoint}:{'user' if caller else 'app'}"
        limit = Limit(LIMITS[bucket], WINDOW_SECONDS, sliding=False)
        key = caller.platform_account_id if caller else "app"
        return self._behaviour.spend(bucket, key, self._world.now(), default=limit)

    def _show(self, response: httpx.Response, spent: LimitDecision) -> None:
        shown = self._behaviour.conditions.limit_headers
        if shown == "absent":
            return
        values = {
            "limit": spent.limit,
            "remaining": spent.remaining,
            "reset": int(spent.reset_at.timestamp()),
        }
        for name, value in values.items():
            response.headers[f"x-rate-limit-{name}"] = str(value) if shown == "right" else "soon"

    def _check_billing(self) -> None:
        if self._behaviour.conditions.credits_depleted:
            raise RefusedError(answers.credits_depleted())
        if self.billing.month(self._today()) >= self._monthly_cap():
            raise RefusedError(answers.usage_capped())

    def _monthly_cap(self) -> int:
        limit = self._behaviour.conditions.limits.get("post_reads_per_month")
        return limit.calls if limit else MONTHLY_CAP

    def _today(self) -> date:
        return self._world.now().astimezone(UTC).date()

    def _forget_reads(self, value: object) -> None:
        if value is None:
            self.billing.clear()

    # The endpoints

    def _tweets(self, request: httpx.Request, caller: Account | None) -> httpx.Response:
        self._check_billing()
        fields = self._fields(request, {"ids"})
        data, errors = self._posts.look_up(_ids(request), fields, caller)
        self.billing.charge(self._today(), (post["id"] for post in data))
        body = ({"data": data} if data else {}) | ({"errors": errors} if errors else {})
        return httpx.Response(200, json=body)

    def _tweet(self, request: httpx.Request, caller: Account | None, one: str) -> httpx.Response:
        self._check_billing()
        fields = self._fields(request, set())
        if not _is_id(one):
            raise RefusedError(answers.invalid("id", one, f"The `id` parameter value [{one}] is not valid"))
        data, errors = self._posts.look_up([one], fields, caller)
        self.billing.charge(self._today(), (post["id"] for post in data))
        if data:
            return httpx.Response(200, json={"data": data[0]})
        gone = errors == [answers.not_found(one)]
        return httpx.Response(404 if gone else 200, json={"errors": errors})

    def _usage(self, request: httpx.Request, caller: Account | None) -> httpx.Response:
        used = self.billing.month(self._today())
        data = {"project_id": "1", "cap_reset_day": 1, "project_cap": str(self._monthly_cap())}
        return httpx.Response(200, json={"data": {**data, "project_usage": str(used)}})

    def _fields(self, request: httpx.Request, others: set[str]) -> list[str]:
        name = "post.fields" if self._behaviour.conditions.renamed_parameter else "tweet.fields"
        known = sorted({name, *others})
        for key, value in request.url.params.multi_items():
            if key not in known:
                message = f"The query parameter [{key}] is not one of [{','.join(known)}]"
                raise RefusedError(answers.invalid(key, value, message))
        fields = [field for field in request.url.params.get(name, "").split(",") if field]
        allowed = FIELDS | {self._posts.history_name}
        for field in fields:
            if field not in allowed:
                choice = ",".join(sorted(allowed))
                message = f"The `{name}` query parameter value [{field}] is not one of [{choice}]"
                raise RefusedError(answers.invalid(name, field, message))
        return fields


def _ids(request: httpx.Request) -> list[str]:
    """Return the distinct requested ids, or refuse them as the API does."""
    values = request.url.params.get_list("ids")
    ids = values[0].split(",") if len(values) == 1 else []
    if not 1 <= len(ids) <= MAX_IDS:
        message = (
            f"The number of values in the `ids` query parameter [{len(ids)}] is not between 1 and {MAX_IDS}"
        )
        raise RefusedError(answers.invalid("ids", ",".join(values), message))
    for one in ids:
        if not _is_id(one):
            message = f"The `ids` query parameter value [{one}] is not valid"
            raise RefusedError(answers.invalid("ids", one, message))
    return list(dict.fromkeys(ids))


def _is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None and int(text) <= _LARGEST_ID


def _me(request: httpx.Request, caller: Account | None) -> httpx.Response:
    assert caller is not None  # noqa: S101 (narrows the type: the app itself was refused before)
    return httpx.Response(200, json={"data": {"id": caller.platform_account_id, "name": caller.name}})


def _unsupported(used: str) -> httpx.Response:
    detail = f"Authenticating with {used} is forbidden for this endpoint."
    return answers.forbidden("unsupported-authentication", "Unsupported Authentication", detail)


def _or_refusal(answer: Callable[[httpx.Request], httpx.Response], request: httpx.Request) -> httpx.Response:
    try:
        return answer(request)
    except RefusedError as refused:
        return refused.response
