"""The errors of Meta's Graph API: the envelope, and one table that says what each error means.

``error.code``, ``error_subcode`` and a few fixed texts distinguish errors, never the HTTP status alone and
never ``error.type``: `OAuthException` is used for nearly everything, throttles arrive as 400 or 403, refused
tokens as 400 or 401, and a 2xx may carry an error too.

Meta localises messages (Japanese and Portuguese were recorded at graph.instagram.com), so an English text
decides only where Meta sends no code of its own; each such place says so. Identifiers inside a message
(metrics, permissions, fields) are the same in every language.

https://developers.facebook.com/docs/graph-api/guides/error-handling
https://developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any

from worker.adapters.meta import metrics


class Meaning(Enum):
    """What an error means for us: first what concerns an account or our application, then one object."""

    LIMITED = auto()
    DEAD_TOKEN = auto()
    MISCONFIGURED = auto()
    BLOCKED = auto()
    RESTRICTED = auto()
    DENIED = auto()
    """A permission is missing: for the account as a rule, for one object when its siblings are found."""
    TRANSIENT = auto()
    PRE_BUSINESS = auto()
    FEW_VIEWERS = auto()
    UNSUPPORTED_METRIC = auto()
    MISSING = auto()
    """Deleted, not permitted or never there: Meta does not say which."""
    WRONG_NODE = auto()
    TOO_LARGE = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Refusal:
    """One error of the Graph API."""

    status: int
    code: int | None = None
    subcode: int | None = None
    transient: bool = False
    text: str = field(default="", repr=False)
    """The message, lower case and cut. It may echo ids, URLs and tokens: it is searched, never shown."""
    meaning: Meaning = Meaning.OTHER

    @property
    def of_application(self) -> bool:
        """Whether it holds for every call of our application: blocked, unknown, or without a valid proof."""
        named = any(words in self.text for words in (*OUR_APP, *NO_PROOF))
        return self.meaning is Meaning.MISCONFIGURED and (named or self.code in APP_REFUSALS)


Body = dict[str, Any]
GraphAnswer = Body | Refusal | None
"""An object's answer; ``None`` when the platform did not process it or it cannot be read."""
ENDS_FETCH = frozenset(
    {Meaning.LIMITED, Meaning.DEAD_TOKEN, Meaning.MISCONFIGURED, Meaning.BLOCKED, Meaning.RESTRICTED}
)
"""Errors that concern the account or our application, so they end the fetch wherever they occur."""

APP_LIMITS = frozenset({4, 341})
PLATFORM_LIMITS = APP_LIMITS | {17, 32}
LIMITS = PLATFORM_LIMITS | {613} | frozenset(range(80_000, 80_015))
POSTED_BEFORE_BUSINESS = 2_108_006
DEAD_TOKENS: Mapping[int, str] = {
    458: "its owner removed the app",
    459: "its owner must first log in to facebook.com and pass a security check",
    460: "the password was changed or the session was ended",
    463: "it has expired",
    464: "its owner's Facebook profile is not confirmed",
    467: "the session was ended",
    492: "its owner no longer has a role on the Page",
}
"""Why a token is dead, by subcode; a renewal helps with none of them."""
SCOPES = (
    "instagram_business_manage_insights",
    "instagram_business_basic",
    "instagram_manage_insights",
    "instagram_basic",
    "read_insights",
    "pages_read_engagement",
    "pages_show_list",
)
"""Permissions that we request: the only words of a message that a sentence for users may repeat."""

MAX_TEXT = 4_000
INDEXED = re.compile(r"metric\[(\d{1,3})\]")
"""Instagram, a name that the endpoint does not know; all valid names follow, so only the index counts."""
_LIST = r"([\w, ]{1,200})"
NAMED = re.compile(
    rf"does not support the {_LIST} metrics? for this media product type"
    rf"|the {_LIST} metrics? (?:is|are) no longer supported"
    rf"|the metrics? {_LIST} (?:is|are) not supported"
)
"""Instagram, a known name that these media do not have; perhaps not all such names at once. English only: in
another language a single metric in the message is the one; of several, further calls find it."""
UNNAMED = "must be a valid insights metric"
"""Facebook; calls with fewer metrics find the one. English only: there is no code or name for it."""
METRIC = re.compile(rf"\b({'|'.join((*metrics.INSTAGRAM, *metrics.FACEBOOK, metrics.FACEBOOK_REMOVED))})\b")
OUR_APP = ("api access blocked", "api access deactivated", "error validating application", "valid app id")
"""Meta refuses the application itself. English only: the codes (200, 190) are those of a missing permission
and a dead token."""
APP_REFUSALS = frozenset({5, 101})
"""The address of our servers is not allowed; there is no such application."""
NO_PROOF = ("appsecret_proof", "app secret proof")
"""Our call lacks its proof or has a wrong one. The second form is English only."""
ON_BEHALF = "cannot call api for app"
"""Meta does not say why: a permission was withdrawn, the application is not live, or a role was lost. English
only; in another language the scopes are checked as after any other refusal."""

TABLE: Sequence[tuple[Meaning, Callable[[Refusal], bool]]] = (
    (
        Meaning.LIMITED,
        lambda e: (e.code in LIMITS or e.status == 429) and e.subcode != POSTED_BEFORE_BUSINESS,
    ),
    (Meaning.MISCONFIGURED, lambda e: any(words in e.text for words in OUR_APP)),
    (Meaning.DEAD_TOKEN, lambda e: e.code in {190, 102} or e.subcode in DEAD_TOKENS),
    (Meaning.MISCONFIGURED, lambda e: e.code in {100, 1} and any(words in e.text for words in NO_PROOF)),
    # An address that the application does not allow, a method or version that is gone, no such application;
    # beyond the vendor's tables: no token seen in the request, a path or version that does not exist.
    (Meaning.MISCONFIGURED, lambda e: e.code in {5, 11, 12, 101, 104, 2500}),
    # "Application does not have the capability": English only, for code 3 is also a permission's.
    (Meaning.MISCONFIGURED, lambda e: e.code == 3 and "capability" in e.text),
    (Meaning.PRE_BUSINESS, lambda e: e.subcode == POSTED_BEFORE_BUSINESS),
    # In another language it is DENIED, until `may_be_few_viewers` and the kind of the media decide.
    (Meaning.FEW_VIEWERS, lambda e: e.code == 10 and "not enough viewers" in e.text),
    (Meaning.UNSUPPORTED_METRIC, lambda e: e.code == 3001 or (e.code == 100 and _names_metric(e.text))),
    (Meaning.TOO_LARGE, lambda e: e.code == 1 and "reduce the amount of data" in e.text),
    (Meaning.TRANSIENT, lambda e: e.transient),
    (Meaning.DENIED, lambda e: e.code == 100 and named_scope(e) is not None),
    (
        Meaning.MISSING,
        lambda e: (
            (e.code == 100 and e.subcode == 33)
            or e.code in {33, 803}
            or (e.code == 100 and ("does not exist" in e.text or "unsupported get request" in e.text))
            or e.status == 404
        ),
    ),
    (Meaning.WRONG_NODE, lambda e: e.code == 100 and "(insights)" in e.text),
    (Meaning.DENIED, lambda e: e.code in {10, 3} or (e.code is not None and 200 <= e.code <= 299)),
    (Meaning.BLOCKED, lambda e: e.code == 368),
    (Meaning.TRANSIENT, lambda e: e.code in {1, 2, -1} or e.status >= 500),
    (Meaning.RESTRICTED, lambda e: e.code == 9009 or e.subcode == 2_207_050),
    (
        Meaning.UNSUPPORTED_METRIC,
        lambda e: e.code == 100 and e.subcode is None and METRIC.search(e.text) is not None,
    ),
    (Meaning.OTHER, lambda _: True),
)
"""The first row whose condition holds decides. The order matters: code 4 may come with ``is_transient``, code
10 has two meanings, and a transient flag outweighs the signs of a missing object or permission."""


def refusal(status: int, body: object) -> Refusal | None:
    """Return the error in an answer, or ``None`` for a good one; ``body`` is ``None`` when it is no JSON."""
    error = body.get("error") if isinstance(body, dict) else None
    if error is None and body is not None and 200 <= status <= 299:
        return None
    if (body is None and status != 429) or 300 <= status <= 399:
        return Refusal(status, meaning=Meaning.TRANSIENT)
    fields = error if isinstance(error, dict) else {}
    message = fields.get("message")
    refused = Refusal(
        status,
        _integer(fields.get("code")),
        _integer(fields.get("error_subcode")),
        fields.get("is_transient") is True,
        message[:MAX_TEXT].lower() if isinstance(message, str) else "",
    )
    meaning = next(meaning for meaning, holds in TABLE if holds(refused))
    return replace(refused, meaning=meaning)


def named_metrics(refused: Refusal, requested: Sequence[str]) -> frozenset[str]:
    """Return which of the requested metrics an unsupported-metric error names; none when it names nothing."""
    if indexed := INDEXED.search(refused.text):
        return frozenset(requested[int(indexed[1]) : int(indexed[1]) + 1])
    if named := NAMED.search(refused.text):
        listed = next(group for group in named.groups() if group)
        return frozenset(requested) & {name.strip() for name in listed.split(",")}
    mentioned = set(METRIC.findall(refused.text))
    return frozenset(requested) & mentioned if len(mentioned) == 1 else frozenset()


def unknown_to_all(refused: Refusal) -> bool:
    """Return whether no object has the metric: the endpoint does not know its name."""
    return INDEXED.search(refused.text) is not None


def concerns_these_media(refused: Refusal) -> bool:
    """Return whether these media do not have the metric, though others may."""
    return not unknown_to_all(refused) and METRIC.search(refused.text) is not None


def named_scope(refused: Refusal) -> str | None:
    """Return the permission that a message names, if it is one that we request."""
    return next((scope for scope in SCOPES if scope in refused.text), None)


def on_behalf(refused: Refusal) -> bool:
    """Return whether Meta does not let our application act for the account's owner, without saying why."""
    return ON_BEHALF in refused.text


def may_be_few_viewers(refused: Refusal) -> bool:
    """Return whether a refusal may mean too few viewers of a story, in a language that we do not match."""
    return refused.code == 10 and named_scope(refused) is None and "permission" not in refused.text


def _names_metric(text: str) -> bool:
    return UNNAMED in text or INDEXED.search(text) is not None or NAMED.search(text) is not None


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
