"""A Graph host with a prepared answer for each post, for the three ways to fetch from Meta."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from shared.settings import Settings
from shared.vocabulary import Platform
from tests.worker.adapters.harness import Outcome, drain
from tests.worker.adapters.meta.graph_harness import error
from tests.worker.adapters.support import NOW, PlainUpstream, account, publication, reply, upstream
from worker.adapters import ADAPTERS
from worker.adapters.meta.metrics import FACEBOOK, FACEBOOK_REMOVED, INSTAGRAM
from worker.readings import Publication

OWN = "1000"
StatusAndBody = tuple[int, dict[str, Any]]
"""Status and body."""
Answers = Callable[[str, tuple[str, ...]], StatusAndBody]
"""The answer for an id and the requested metrics."""


@dataclass(frozen=True)
class Way:
    """One of the ways to fetch Meta's posts."""

    label: str
    platform: Platform
    login: str | None
    metrics: tuple[str, ...]
    scopes: tuple[str, ...]

    def posts(self, count: int, **changes: Any) -> list[Publication]:
        """Return publications numbered from 1, by their numbers' ids."""
        changes = {"media_type": None if self.platform is Platform.FACEBOOK else "IMAGE"} | changes
        return [publication(number, self.id_of(number), **changes) for number in range(1, count + 1)]

    def id_of(self, number: int) -> str:
        """Return the platform's id of a post."""
        return f"{OWN}_{number}" if self.platform is Platform.FACEBOOK else str(number)


FACEBOOK_PAGE = Way("facebook", Platform.FACEBOOK, None, FACEBOOK, ("read_insights", "pages_read_engagement"))
FACEBOOK_LOGIN = Way(
    "instagram, Facebook Login",
    Platform.INSTAGRAM,
    "facebook",
    INSTAGRAM,
    ("instagram_manage_insights", "instagram_basic", "pages_read_engagement"),
)
INSTAGRAM_LOGIN = Way(
    "instagram, Instagram Login",
    Platform.INSTAGRAM,
    "instagram",
    INSTAGRAM,
    ("instagram_business_manage_insights", "instagram_business_basic"),
)
WAYS = (FACEBOOK_PAGE, FACEBOOK_LOGIN, INSTAGRAM_LOGIN)


def numbers(_id: str, metrics: tuple[str, ...]) -> StatusAndBody:
    """Answer with a number for each metric."""
    values: dict[str, Any] = {"post_reactions_by_type_total": {"like": 7}}
    return 200, {"data": [{"name": name, "values": [{"value": values.get(name, 7)}]} for name in metrics]}


def refuses(code: int, message: str, *, status: int = 400, **more: Any) -> Answers:
    """Answer with an error, whatever is requested."""
    return lambda _id, _metrics: (status, error(code, message, **more))


def empty(_id: str, _metrics: tuple[str, ...]) -> StatusAndBody:
    """Answer with no data."""
    return 200, {"data": []}


def only(answers: Answers, *ids: str, others: Answers = numbers) -> Answers:
    """Give these answers for these ids, and ``others`` for all others."""
    return lambda one, metrics: (answers if one in ids else others)(one, metrics)


@dataclass
class Host:
    """The host: it answers with `granted` and `account` beside the posts."""

    answers: Answers
    granted: frozenset[str] | None = None
    """``None``: it does not name them, as for a Page's token."""
    account: StatusAndBody = (200, {"id": OWN})
    kinds: Mapping[str, str] = field(default_factory=dict)
    """The ``media_product_type`` of ids."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        status, body = self._answer(request)
        return reply(body, status, self.headers)

    def _answer(self, request: httpx.Request) -> tuple[int, Any]:
        path = request.url.path.split("/")[2:]
        if request.method == "POST":
            form = httpx.QueryParams(request.content.decode())
            requested = [httpx.URL(f"/{one['relative_url']}") for one in json.loads(form["batch"])]
            replies = [self._insights(url.path.split("/")[1], url.params["metric"]) for url in requested]
            return 200, [{"code": status, "body": json.dumps(body)} for status, body in replies]
        if path == ["me", "permissions"]:
            if self.granted is None:
                return 400, error(100, "(#100) Tried accessing nonexisting field (permissions)")
            return 200, {"data": [{"permission": one, "status": "granted"} for one in sorted(self.granted)]}
        if path == [OWN]:
            return self.account
        if path[1:] == ["insights"]:
            return self._insights(path[0], request.url.params["metric"])
        return self._many(request.url.params["ids"].split(","), request.url.params["fields"])

    def _insights(self, one: str, metrics: str) -> StatusAndBody:
        if metrics == FACEBOOK_REMOVED:
            return 400, error(100, "(#100) The value must be a valid insights metric")
        return self.answers(one, tuple(metrics.split(",")))

    def _many(self, ids: list[str], fields: str) -> tuple[int, Any]:
        nodes: dict[str, Any] = {}
        for one in ids:
            nodes[one] = {"id": one}
            if "media_product_type" in fields:
                nodes[one] |= {"media_product_type": self.kinds.get(one, "FEED"), "media_type": "IMAGE"}
            if "insights" in fields:
                metrics = fields.partition("insights.metric(")[2].rstrip(")")
                status, body = self._insights(one, metrics)
                if "error" in body:
                    return status, body
                nodes[one]["insights"] = body
        return 200, nodes


def read(
    way: Way, host: Callable[[httpx.Request], httpx.Response], posts: list[Publication], **changes: Any
) -> tuple[Outcome, PlainUpstream]:
    """Read these posts once; return what came, and the calls."""
    calls = upstream(host, now=NOW)
    by = account(way.platform, **({"platform_account_id": OWN, "login": way.login} | changes))
    return drain(ADAPTERS[way.platform](Settings()).fetch(calls, by, posts)), calls
