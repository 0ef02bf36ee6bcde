"""The calls to the Graph API that both of Meta's adapters make: single requests, batches, permission checks.

An answer is a body or a `Refusal` that concerns one object. An error that concerns the whole account or
application is raised as a `worker.errors.RefreshError`; inside a batch it is returned, and raised once the
other items have their readings. Where the answer alone does not decide, `ambiguous_errors` does.

The version is a setting. v25.0 (2026-02-18) is the default; v27.0 is the newest in Meta's reference. Meta
withdraws metrics from all versions at once, so an older version keeps none alive.

The token travels in the ``Authorization`` header, for a batch in the form, never in a URL. The
``appsecret_proof`` counts in the query string only; graph.facebook.com alone gets it, if the secret is known.

https://developers.facebook.com/docs/graph-api/batch-requests
https://developers.facebook.com/docs/graph-api/guides/secure-requests
https://developers.facebook.com/docs/graph-api/guides/versioning
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from pydantic import SecretStr

from shared.batches import BATCH_SIZE
from shared.vocabulary import BucketKind, PauseKind, Platform
from worker.adapters.contract import Response, Upstream
from worker.adapters.meta.errors import (
    DEAD_TOKENS,
    ENDS_FETCH,
    Body,
    GraphAnswer,
    Meaning,
    Refusal,
    named_scope,
    on_behalf,
    refusal,
)
from worker.adapters.meta.limits import limits, paused
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.http import strict_json
from worker.readings import Account

MAX_BATCH = BATCH_SIZE[Platform.FACEBOOK]
BLOCKED_FOR = timedelta(hours=24)


@dataclass(slots=True)
class Graph:
    """The calls of one job to a Graph host, for one account."""

    upstream: Upstream
    account: Account
    platform: str
    """``Facebook`` or ``Instagram``, for sentences."""
    host: str
    version: str
    """Empty for the few paths without one."""
    product: str
    """The ``type`` of our entries in X-Business-Use-Case-Usage: ``pages`` or ``instagram``."""
    scopes: tuple[str, ...]
    """The permissions that reading insights needs, the insights permission first."""
    facebook_login: bool
    """The host is graph.facebook.com: the only one that accepts a proof and lists the granted permissions."""
    app_secret: SecretStr | None
    near_limit_percent: int
    """From this share of the application's or the account's limit on, a miss is doubtful."""
    used_percent: int = 0
    """The highest used share of a limit that an answer has reported in this job."""

    @property
    def near_limit(self) -> bool:
        """Return whether Meta may be throttling: it is suspected of answering "does not exist" then."""
        return self.used_percent >= self.near_limit_percent

    def get(self, path: str, query: Mapping[str, str], *, endpoint: str, cost: int = 1) -> Body | Refusal:
        """Request a node, an edge or a set of ids; a returned `Refusal` may concern one object alone."""
        token = self.account.access_token.get_secret_value()
        response = self.upstream.send(
            "GET",
            self._url(path, query),
            endpoint=endpoint,
            cost=cost,
            headers={"Authorization": f"Bearer {token}"},
        )
        body, refused = self._parse(response)
        if refused is not None:
            error = self.ending(refused, response)
            if error is not None:
                raise error
            return refused
        if not isinstance(body, dict):
            raise TryAgain(f"{self.platform} answered with something that cannot be read.")
        return body

    def batch(self, urls: Sequence[str], *, endpoint: str) -> tuple[list[GraphAnswer], RefreshError | None]:
        """Request up to 50 relative URLs in one call; each counts as a call.

        Returns the answers in order, and the error that ends the fetch: raise it after using the answers.
        """
        form = {
            "access_token": self.account.access_token.get_secret_value(),
            "include_headers": "false",
            "batch": json.dumps([{"method": "GET", "relative_url": url} for url in urls]),
        }
        response = self.upstream.send("POST", self._url("", {}), endpoint=endpoint, cost=len(urls), form=form)
        body, refused = self._parse(response)
        if refused is not None:
            raise self.ending(refused, response) or self._refused_whole(refused)
        if not isinstance(body, list) or len(body) != len(urls):
            raise TryAgain(f"{self.platform} answered a batch with something that cannot be read.")
        answers = [_item(element) for element in body]
        refusals = [answer for answer in answers if isinstance(answer, Refusal)]
        transient = [one for one in refusals if one.meaning is Meaning.TRANSIENT]
        if len(urls) > 1 and len(transient) == len(urls):
            raise TryAgain(f"{self.platform} has a temporary problem.", breaks=transient[0].status >= 500)
        whole = (one for one in refusals if one.meaning in ENDS_FETCH)
        return answers, next((self.ending(one, response) for one in whole), None)

    def ending(self, refused: Refusal, response: Response) -> RefreshError | None:
        """Return what to raise for an error that concerns more than one object, else ``None``."""
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
                    f"(code {refused.code}): check the app's state at Meta, its secret and the API version.",
                    application=refused.of_application,
                )
            case Meaning.BLOCKED:
                return Paused(
                    f"{self.platform} has blocked these calls for policy reasons.",
                    kind=BucketKind.ACCOUNT,
                    until=response.received_at + BLOCKED_FOR,
                    stop=PauseKind.BLOCKED,
                )
            case Meaning.TRANSIENT:
                return TryAgain(f"{self.platform} has a temporary problem.", breaks=refused.status >= 500)
        return None

    def find_rejected_metric(self, node: str, metrics: Sequence[str]) -> str:
        """Return the metric that makes ``node`` refuse all, found by bisection: log2(n) calls, rounded up."""
        candidates = metrics
        while len(candidates) > 1:
            half = candidates[: len(candidates) // 2]
            answer = self.get(f"{node}/insights", {"metric": ",".join(half)}, endpoint="insights")
            refused = isinstance(answer, Refusal) and answer.meaning is Meaning.UNSUPPORTED_METRIC
            candidates = half if refused else candidates[len(half) :]
        return candidates[0]

    def granted(self) -> frozenset[str] | None:
        """Return the permissions that the token has now, or ``None`` when the host does not list them."""
        if not self.facebook_login:
            return None
        body = self.get("me/permissions", {}, endpoint="permissions")
        entries = None if isinstance(body, Refusal) else body.get("data")
        if not isinstance(entries, list):
            return None
        listed = [entry for entry in entries if isinstance(entry, dict)]
        return frozenset(str(entry.get("permission")) for entry in listed if entry.get("status") == "granted")

    def missing_scopes(self) -> tuple[str, ...] | None:
        """Return which required permissions the account has not granted; ``None`` when that is not known.

        Makes one call where the host lists them. The scopes stored at the connection only prove what was not
        granted then, because the owner may have withdrawn others since.
        """
        granted = self.granted()
        known = self.account.scopes if granted is None else granted
        lacking = tuple(scope for scope in self.scopes if scope not in known)
        return lacking if granted is not None or (lacking and known) else None

    def scopes_error(self, scopes: Sequence[str]) -> Reauthorize:
        """Return the error for permissions that the account's authorization lacks."""
        listed = ", ".join(scopes)
        what, it = ("permission", "it") if len(scopes) == 1 else ("permissions", "them")
        verb = "is" if len(scopes) == 1 else "are"
        sentence = f"The {what} {listed} {verb} missing: reconnect the account and grant {it}."
        return Reauthorize(sentence, missing_scope=listed)

    def denied(self, refused: Refusal) -> Reauthorize | None:
        """Return the error for a refusal of all posts, or ``None`` if no permission is missing (one call)."""
        lacking, named = self.missing_scopes(), named_scope(refused)
        if lacking:
            return self.scopes_error(lacking)
        if on_behalf(refused):
            return Reauthorize(
                f"{self.platform} does not let our application act for this account's owner: "
                "its owner must reconnect the account and grant all requested permissions."
            )
        if lacking is not None:
            return None
        if named:
            return self.scopes_error((named,))
        listed = ", ".join(self.scopes)
        sentence = f"One of the permissions {listed} is missing: reconnect the account and grant all of them."
        return Reauthorize(sentence, missing_scope=listed)

    def require_scopes(self) -> None:
        """Raise `worker.errors.Reauthorize` if a permission is missing: Meta may then send empty data."""
        if lacking := self.missing_scopes():
            raise self.scopes_error(lacking)

    def require_account(self) -> None:
        """Raise `worker.errors.Reauthorize` when the token can no longer read its own account."""
        answer = self.get(self.account.platform_account_id, {"fields": "id"}, endpoint="account")
        if not isinstance(answer, Refusal):
            return
        if answer.code is None or answer.meaning not in {Meaning.MISSING, Meaning.DENIED, Meaning.WRONG_NODE}:
            raise TryAgain(f"{self.platform} did not say whether the account can still be read.")
        raise self.lost_role()

    def lost_role(self) -> Reauthorize:
        """Return the error for an account that its authorization cannot read, although all is granted."""
        return Reauthorize(
            f"{self.platform} no longer lets the stored authorization read this account: the role on the "
            "account or Page was lost, or it is not a professional account any more. Restore that, then "
            "reconnect it.",
            missing_scope="account role",
        )

    def _url(self, path: str, query: Mapping[str, str]) -> str:
        sent = dict(query)
        if self.facebook_login and self.app_secret is not None:
            sent["appsecret_proof"] = proof(self.app_secret, self.account.access_token)
        root = f"{self.host}/{self.version}" if self.version else self.host
        return f"{root}/{path}" + (f"?{urlencode(sent)}" if sent else "")

    def _parse(self, response: Response) -> tuple[object, Refusal | None]:
        reported = limits(response, self.account.platform_account_id, self.product)
        self.used_percent = max(self.used_percent, *(one.used_percent or 0 for one in reported), 0)
        self.upstream.report_limits(*reported)
        try:
            body = response.json()
        except ValueError:
            body = None
        return body, refusal(response.status, body)

    def _refused_whole(self, refused: Refusal) -> RefreshError:
        if refused.meaning is Meaning.DENIED:
            return self.denied(refused) or self.lost_role()
        if refused.code == 100:
            return Misconfigured(f"{self.platform} refuses the form of our batch (code 100).")
        return TryAgain(
            f"{self.platform} refused a whole batch (HTTP {refused.status}, code {refused.code})."
        )


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


def _item(element: object) -> GraphAnswer:
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
