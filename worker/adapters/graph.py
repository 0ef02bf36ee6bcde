"""What both of Meta's adapters share of the Graph API: calls, batches, and who is at fault when in doubt.

`Graph` is one job's conversation with one host. An answer is a body or a `Refusal` that concerns one object;
what concerns the whole account or application is raised (or, inside a batch, handed back to be raised once
the other items have their readings) as a `worker.errors.RefreshError`.

The token travels in the ``Authorization`` header, for a batch in the form, never in a URL. The
``appsecret_proof`` counts in the query string only; graph.facebook.com alone gets it, if the secret is known.

https://developers.facebook.com/docs/graph-api/batch-requests
https://developers.facebook.com/docs/graph-api/guides/secure-requests
"""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlencode

from pydantic import SecretStr

from shared.vocabulary import BucketKind
from worker import strict_json
from worker.adapters.contract import Response, Upstream
from worker.adapters.graph_errors import (
    DEAD_TOKENS,
    WHOLE,
    Answered,
    Body,
    Meaning,
    Refusal,
    named_scope,
    refusal,
)
from worker.adapters.graph_limits import limits, paused
from worker.adapters.graph_readings import unread
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Account, Answer, Publication, Reading

MAX_BATCH = 50
BLOCKED_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Graph:
    """One job's conversation with a Graph host, for one account."""

    upstream: Upstream
    account: Account
    platform: str
    """As people read it: ``Facebook`` or ``Instagram``."""
    host: str
    version: str
    """Empty for the few paths without one."""
    product: str
    """The ``type`` of our entries in X-Business-Use-Case-Usage: ``pages`` or ``instagram``."""
    scopes: tuple[str, ...]
    """What reading insights takes, the insights permission first."""
    facebook_login: bool
    """The host is graph.facebook.com: the only one that takes a proof and tells the granted permissions."""
    app_secret: SecretStr | None

    def get(self, path: str, query: Mapping[str, str], *, endpoint: str, cost: int = 1) -> Body | Refusal:
        """Read one node, edge or set of ids; a `Refusal` is one that an object may be the cause of."""
        token = self.account.access_token.get_secret_value()
        response = self.upstream.send(
            "GET",
            self._url(path, query),
            endpoint=endpoint,
            cost=cost,
            headers={"Authorization": f"Bearer {token}"},
        )
        body, refused = self._heard(response)
        if refused is not None:
            error = self.ending(refused, response)
            if error is not None:
                raise error
            return refused
        if not isinstance(body, dict):
            raise TryAgain(f"{self.platform} answered with something that cannot be read.")
        return body

    def batch(self, urls: Sequence[str], *, endpoint: str) -> tuple[list[Answered], RefreshError | None]:
        """Read up to 50 relative URLs in one request; each counts as a call.

        Returns the answers in order, and what ends the read, to be raised when the good answers are used.
        """
        form = {
            "access_token": self.account.access_token.get_secret_value(),
            "include_headers": "false",
            "batch": json.dumps([{"method": "GET", "relative_url": url} for url in urls]),
        }
        response = self.upstream.send("POST", self._url("", {}), endpoint=endpoint, cost=len(urls), form=form)
        body, refused = self._heard(response)
        if refused is not None:
            raise self.ending(refused, response) or self._refused_whole(refused)
        if not isinstance(body, list) or len(body) != len(urls):
            raise TryAgain(f"{self.platform} answered a batch with something that cannot be read.")
        answers = [_item(element) for element in body]
        refusals = [answer for answer in answers if isinstance(answer, Refusal)]
        passing = [one for one in refusals if one.meaning is Meaning.TRANSIENT]
        if len(urls) > 1 and len(passing) == len(urls):
            raise TryAgain(f"{self.platform} has a passing trouble.", breaks=passing[0].status >= 500)
        whole = (one for one in refusals if one.meaning in WHOLE)
        return answers, next((self.ending(one, response) for one in whole), None)

    def ending(self, refused: Refusal, response: Response) -> RefreshError | None:
        """Return what to raise for an error that no single object causes, else ``None``."""
        match refused.meaning:
            case Meaning.LIMITED:
                return paused(
                    self.platform, refused, response, self.account.platform_account_id, self.product
                )
            case Meaning.DEAD_TOKEN:
                return Reauthorize(_dead(self.platform, refused))
            case Meaning.RESTRICTED:
                return Reauthorize(
                    f"{self.platform} has restricted this account: its owner must clear that with "
                    f"{self.platform}, then reconnect the account."
                )
            case Meaning.MISCONFIGURED:
                return Misconfigured(
                    f"{self.platform} refuses our application or the form of our requests "
                    f"(code {refused.code}): check the Meta app secret and API version."
                )
            case Meaning.BLOCKED:
                return Paused(
                    f"{self.platform} has blocked these calls for policy reasons.",
                    kind=BucketKind.ACCOUNT,
                    until=response.received_at + BLOCKED_FOR,
                    operator_alert=True,
                )
            case Meaning.TRANSIENT:
                return TryAgain(f"{self.platform} has a passing trouble.", breaks=refused.status >= 500)
        return None

    def culprit(self, node: str, metrics: Sequence[str]) -> str:
        """Find a metric for which ``node`` refuses them all, by halving: log2(n) calls, rounded up."""
        suspects = metrics
        while len(suspects) > 1:
            half = suspects[: len(suspects) // 2]
            answer = self.get(f"{node}/insights", {"metric": ",".join(half)}, endpoint="insights")
            refused = isinstance(answer, Refusal) and answer.meaning is Meaning.UNSUPPORTED_METRIC
            suspects = half if refused else suspects[len(half) :]
        return suspects[0]

    def granted(self) -> frozenset[str] | None:
        """Return the permissions that the token has now, or ``None`` when the host does not tell."""
        if not self.facebook_login:
            return None
        body = self.get("me/permissions", {}, endpoint="permissions")
        entries = None if isinstance(body, Refusal) else body.get("data")
        if not isinstance(entries, list):
            return None
        told = [entry for entry in entries if isinstance(entry, dict)]
        return frozenset(str(entry.get("permission")) for entry in told if entry.get("status") == "granted")

    def lacks(self, scope: str) -> Reauthorize:
        """Return the error for a permission that the account's authorization does not hold."""
        return Reauthorize(
            f"The permission {scope} is missing: reconnect the account and grant it.", missing_scope=scope
        )

    def require_scope(self, refused: Refusal) -> None:
        """Raise `worker.errors.Reauthorize` unless the token has all permissions and none is named here."""
        scope = named_scope(refused)
        if scope is None:
            granted = self.granted()
            lacking = [one for one in self.scopes if granted is None or one not in granted]
            if not lacking:
                return
            scope = lacking[0]
        raise self.lacks(scope)

    def require_account(self) -> None:
        """Raise `worker.errors.Reauthorize` when the token no longer opens its own account."""
        answer = self.get(self.account.platform_account_id, {"fields": "id"}, endpoint="account")
        if not isinstance(answer, Refusal):
            return
        if answer.code is None or answer.meaning not in {Meaning.MISSING, Meaning.DENIED, Meaning.WRONG_NODE}:
            raise TryAgain(f"{self.platform} did not tell whether the account can still be read.")
        raise self.lost_role()

    def lost_role(self) -> Reauthorize:
        """Return the error for an account that is closed to its authorization, whatever was granted."""
        return Reauthorize(
            f"{self.platform} no longer opens this account to its authorization: the role on the account or "
            "Page was lost, or it is no professional account any more. Restore that, then reconnect it.",
            missing_scope="account role",
        )

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        sent = dict(query)
        if self.facebook_login and self.app_secret is not None:
            sent["appsecret_proof"] = proof(self.app_secret, self.account.access_token)
        root = f"{self.host}/{self.version}" if self.version else self.host
        return f"{root}/{path}" + (f"?{urlencode(sent)}" if sent else "")

    def _heard(self, response: Response) -> tuple[object, Refusal | None]:
        self.upstream.saw(*limits(response, self.account.platform_account_id, self.product))
        try:
            body = response.json()
        except ValueError:
            body = None
        return body, refusal(response.status, body)

    def _refused_whole(self, refused: Refusal) -> RefreshError:
        if refused.meaning is Meaning.DENIED:
            return self.lacks(named_scope(refused) or self.scopes[0])
        if refused.code == 100:
            return Misconfigured(f"{self.platform} refuses the form of our batch (code 100).")
        return TryAgain(
            f"{self.platform} refused a whole batch (HTTP {refused.status}, code {refused.code})."
        )


@dataclass(slots=True)
class Doubts:
    """Refusals that may be the posts' matter or the token's; which, shows when all answers are in."""

    graph: Graph
    missing: list[Publication] = field(default_factory=list)
    denied: list[tuple[Publication, Refusal]] = field(default_factory=list)

    def take(self, publication: Publication, answer: Refusal) -> Iterator[Reading]:
        """Yield the reading of a refusal, keep it if it is in doubt; what ends the read gets none."""
        if answer.meaning is Meaning.MISSING:
            self.missing.append(publication)
        elif answer.meaning is Meaning.DENIED:
            self.denied.append((publication, answer))
        elif answer.meaning not in WHOLE:
            yield unread(publication, answer)

    def settle(self, *, read_any: bool) -> Iterator[Reading]:
        """Yield a reading for each; if no sibling read fine, ask (one call) whether the token is at fault.

        Raises `worker.errors.Reauthorize` when it is.
        """
        if self.denied and not read_any:
            self.graph.require_scope(self.denied[0][1])
            if len(self.denied) > 1:
                raise self.graph.lost_role()
        elif self.missing and not read_any:
            self.graph.require_account()
        for publication in (*self.missing, *(publication for publication, _ in self.denied)):
            sentence = f"{self.graph.platform} does not know this post for the account."
            yield Reading(publication.id, Answer.MISSING, detail=sentence)


def proof(secret: SecretStr, token: SecretStr) -> str:
    """Return the ``appsecret_proof`` of a token: hex HMAC-SHA256 of the token under the app's secret."""
    key, message = secret.get_secret_value().encode(), token.get_secret_value().encode()
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def _dead(platform: str, refused: Refusal) -> str:
    if "cannot parse" in refused.text:
        return (
            f"{platform} cannot read the stored access token. It was probably issued for another kind of "
            "login (Facebook Login and Instagram Login have separate tokens) or stored incompletely: check "
            "which login the account was connected with, then reconnect it."
        )
    reason = DEAD_TOKENS.get(refused.subcode or 0, "it is invalid or was revoked")
    return f"{platform} refuses the account's authorization: {reason}. Reconnect the account."


def _item(element: object) -> Answered:
    if not isinstance(element, dict):
        return None
    status, text = element.get("code"), element.get("body")
    if not isinstance(status, int) or not isinstance(text, str):
        return None
    try:
        body = strict_json.parse(text)
    except ValueError:
        body = None
    refused = refusal(status, body)
    return refused if refused is not None else body if isinstance(body, dict) else None
