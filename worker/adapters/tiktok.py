"""TikTok Display API v2: the counters of videos.

``POST /v2/video/query/?fields=…`` with ``{"filters": {"video_ids": [<1..20>]}}``, scope ``video.list``: 20
videos cost one call; 600 calls a minute are allowed to our application, and no header reports the rest.

A video whose public id is not known yet costs ``POST /v2/post/publish/status/fetch/``, one call each; those
that have one by now are fetched in one more: a job of 20 makes 21 calls at most. The scope is
``video.publish`` or ``video.upload``; without it such a video stays processing, and its siblings are fetched
all the same.

Every answer has an envelope; ``error.code`` says what happened, the status alone does not. Ids are strings
here, and integers of 19 digits in a publishing status. There is no list of errors per id: a deleted, private
or foreign id is absent. So is one that is not public yet, for a day or so; as missing posts are confirmed
after a day on this platform, a known id that is absent is `MISSING` whatever its age, and `PROCESSING` only
in the job that found the id.

https://developers.tiktok.com/doc/tiktok-api-v2-video-query
https://developers.tiktok.com/doc/content-posting-api-reference-get-video-status
https://developers.tiktok.com/doc/tiktok-api-v2-rate-limit
https://developers.tiktok.com/doc/tiktok-api-v2-error-handling
https://developers.tiktok.com/doc/oauth-user-access-token-management
"""

import random
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from shared.settings import Settings
from shared.vocabulary import BucketKind, WarningCode, warn
from worker.adapters import oauth, untrusted
from worker.adapters.contract import Response, Upstream
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Account, Answer, Publication, Reading, Tokens

QUERY, STATUS, TOKEN_ENDPOINT = "video/query", "status/fetch", "oauth/token"
METRICS = ("view_count", "like_count", "comment_count", "share_count")
VIDEO_ID = re.compile(r"[0-9]{15,19}")
LIMIT_PAUSE = timedelta(seconds=60)
LIMIT_JITTER_SECONDS = 15.0
SCOPES = {QUERY: "video.list", STATUS: "video.publish"}
SCOPE_CODES = frozenset({"scope_not_authorized", "scope_permission_missed"})
PUBLISH_ID_CODES = {
    "invalid_publish_id": Answer.MISSING,
    "token_not_authorized_for_specified_publish_id": Answer.MISSING,
    "invalid_params": Answer.UNREADABLE,
}
"""Errors of a publishing status that concern its publish id alone."""
RECONNECT = "TikTok no longer accepts this account's authorization: reconnect the account."
ABSENT = "TikTok does not show this video: it was deleted, is private or belongs to another account."
PROCESSING = "TikTok has not published this post under a public id yet."


class TikTok:
    """The adapter for TikTok."""

    renewal_endpoint = TOKEN_ENDPOINT

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def fetch(
        self, upstream: Upstream, account: Account, publications: Sequence[Publication]
    ) -> Iterator[Reading]:
        """Yield a reading per publication; see `worker.adapters.contract.Adapter.fetch`."""
        known: list[tuple[Publication, str]] = []
        unresolved: list[tuple[Publication, str]] = []
        for publication in publications:
            video_id = publication.platform_post_id
            # A malformed id might make TikTok refuse the whole call, so it is never sent.
            if video_id is not None and _is_video_id(video_id):
                known.append((publication, video_id))
            elif publication.publish_id:
                unresolved.append((publication, publication.publish_id))
            elif video_id is None:
                yield Reading(publication.id, Answer.PROCESSING, detail=PROCESSING)
            else:
                detail = "The stored id is no id of a video on TikTok."
                yield Reading(publication.id, Answer.MISSING, detail=detail)
        if known:
            yield from self._query(upstream, account, known)
        if unresolved:
            yield from self._resolve(upstream, account, unresolved)

    def _query(
        self, upstream: Upstream, account: Account, requested: Sequence[tuple[Publication, str]]
    ) -> Iterator[Reading]:
        """Yield the readings of videos with known public ids."""
        ids = list(dict.fromkeys(video_id for _, video_id in requested))
        path = f"/v2/video/query/?fields=id,{','.join(METRICS)}"
        _, data = self._post(upstream, account, QUERY, path, {"filters": {"video_ids": ids}})
        listed = data.get("videos") or []
        if not isinstance(listed, list):
            raise TryAgain("TikTok's list of videos could not be read.")
        videos = {_text(video.get("id")): video for video in untrusted.objects_of(listed)}
        all_identified = len(listed) == len(videos.keys() & set(ids))
        for publication, video_id in requested:
            if video_id in videos:
                yield _reading(publication, videos[video_id])
            elif all_identified:
                yield Reading(publication.id, Answer.MISSING, detail=ABSENT)
            else:
                yield Reading(publication.id, Answer.UNREADABLE, detail="TikTok's answer is not clear.")

    def _resolve(
        self, upstream: Upstream, account: Account, unresolved: Sequence[tuple[Publication, str]]
    ) -> Iterator[Reading]:
        """Look up public ids and query the videos that have one; raise a look-up's error after that."""
        resolved: list[tuple[Publication, str]] = []
        lookup_error: RefreshError | None = None
        remaining = deque(unresolved)
        while remaining:
            publication, publish_id = remaining[0]
            try:
                public_id = self._public_id(upstream, account, publication, publish_id)
            except RefreshError as error:
                lookup_error = error
                break
            remaining.popleft()
            if isinstance(public_id, Reading):
                yield public_id
            else:
                resolved.append((publication, public_id))
        learned = {publication.id: video_id for publication, video_id in resolved}
        for reading in self._query(upstream, account, resolved) if resolved else ():
            answer = Answer.PROCESSING if reading.answer is Answer.MISSING else reading.answer
            detail = PROCESSING if reading.answer is Answer.MISSING else reading.detail
            video_id = learned[reading.publication_id]
            yield replace(reading, answer=answer, detail=detail, platform_post_id=video_id)
        if isinstance(lookup_error, Reauthorize) and lookup_error.missing_scope:
            # Known videos are fetched without that scope, so the account stays active when it is missing.
            for publication, _ in remaining:
                yield Reading(publication.id, Answer.PROCESSING, detail=str(lookup_error))
        elif lookup_error:
            raise lookup_error

    def _public_id(
        self, upstream: Upstream, account: Account, publication: Publication, publish_id: str
    ) -> str | Reading:
        """Return the public id of a publishing process, or the reading of one without an id (yet)."""
        path = "/v2/post/publish/status/fetch/"
        code, data = self._post(upstream, account, STATUS, path, {"publish_id": publish_id})
        if code in PUBLISH_ID_CODES:
            detail = "TikTok does not accept the publish id of this post."
            return Reading(publication.id, PUBLISH_ID_CODES[code], detail=detail)
        if data.get("status") == "FAILED":
            return Reading(publication.id, Answer.MISSING, detail="TikTok says that publishing has failed.")
        # TikTok's spelling; the other one in case TikTok corrects it.
        ids = data.get("publicaly_available_post_id") or data.get("publicly_available_post_id")
        texts = (_text(one) for one in ids) if isinstance(ids, list) else ()
        public = next((one for one in texts if _is_video_id(one)), None)
        return public or Reading(publication.id, Answer.PROCESSING, detail=PROCESSING)

    def _post(
        self, upstream: Upstream, account: Account, endpoint: str, path: str, body: object
    ) -> tuple[str, Mapping[str, object]]:
        """Return code and data of an answer. Raises the error of a code that concerns more than one post."""
        response = upstream.send(
            "POST",
            f"{self._settings.tiktok_api_url}{path}",
            endpoint=endpoint,
            headers={"Authorization": f"Bearer {account.access_token.get_secret_value()}"},
            json=body,
        )
        answer = untrusted.body_of(response)
        error = answer.get("error")
        # One official example has the error's fields at the top, without their wrapper.
        value = error.get("code") if isinstance(error, dict) else answer.get("code")
        code = value if isinstance(value, str) else ""
        if endpoint == STATUS and code in PUBLISH_ID_CODES:
            return code, {}
        if code != "ok" or not untrusted.succeeded(response):
            raise _refusal(response, code, endpoint)
        if not isinstance(data := answer.get("data"), dict):
            raise TryAgain("TikTok's answer holds no data.")
        return "ok", data

    def renew(self, upstream: Upstream, account: Account) -> Tokens:
        """Return a new pair; each renewal invalidates the previous refresh token."""
        form = oauth.refresh_form(account, RECONNECT)
        form["client_key"] = oauth.setting(self._settings.tiktok_client_key, "DRAVO_TIKTOK_CLIENT_KEY")
        secret = oauth.setting(self._settings.tiktok_client_secret, "DRAVO_TIKTOK_CLIENT_SECRET")
        url = f"{self._settings.tiktok_api_url}/v2/oauth/token/"
        response = upstream.send("POST", url, endpoint=TOKEN_ENDPOINT, form={**form, "client_secret": secret})
        return oauth.tokens_of(
            response, endpoint=TOKEN_ENDPOINT, reconnect=RECONNECT, refresh_life="refresh_expires_in"
        )


def _reading(publication: Publication, video: Mapping[str, object]) -> Reading:
    metrics = {key: count for key in METRICS if untrusted.is_count(count := video.get(key))}
    if not metrics:
        return Reading(publication.id, Answer.UNAVAILABLE, detail="TikTok gave no counters for this video.")
    missing = tuple(key for key in METRICS if key not in metrics)
    warnings = (warn(WarningCode.METRIC_UNAVAILABLE, f"{key} was not reported by TikTok") for key in missing)
    return Reading(publication.id, Answer.READ, metrics, missing, tuple(warnings))


def _refusal(response: Response, code: str, endpoint: str) -> RefreshError:
    """Return the error of an answer without success, by its code first and then by its status."""
    status = response.status
    if code in SCOPE_CODES:
        scope = SCOPES[endpoint]
        sentence = f"This account's authorization lacks {scope}: reconnect the account and grant it."
        return Reauthorize(sentence, missing_scope=scope)
    if code == "rate_limit_exceeded" or status == 429:
        return _limited(response, endpoint)
    if status >= 500 or code == "internal_error":
        return TryAgain(f"TikTok answered with status {status}.", breaks=status >= 500)
    if code == "access_token_invalid" or status == 401:
        return Reauthorize(RECONNECT, renewable=True)
    if untrusted.succeeded(response) and not code:
        return TryAgain("TikTok's answer could not be read.")
    return Misconfigured(f"TikTok refused our application's call with status {status}.")


def _limited(response: Response, endpoint: str) -> Paused:
    """Return a pause of a minute and some jitter: for all accounts, or for this one's publishing statuses."""
    kind = BucketKind.ENDPOINT if endpoint == QUERY else BucketKind.ACCOUNT
    jitter = random.uniform(0, LIMIT_JITTER_SECONDS)  # noqa: S311 - jitter needs no secrecy
    wait = max(untrusted.retry_after(response) or LIMIT_PAUSE, LIMIT_PAUSE) + timedelta(seconds=jitter)
    return Paused(
        "TikTok's rate limit is reached.", kind=kind, endpoint=endpoint, until=response.received_at + wait
    )


def _is_video_id(text: str) -> bool:
    return VIDEO_ID.fullmatch(text) is not None and untrusted.is_id(text)


def _text(value: object) -> str:
    """Return an id as a string: some of TikTok's answers have them as integers."""
    return str(value) if type(value) is int or isinstance(value, str) else ""
