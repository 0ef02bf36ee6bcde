"""The refresh as an operation, once for each kind of answer."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Engine

from shared.vocabulary import BucketKind
from tests.harness import Script, reads
from tests.interleavings.model.environment import JOB, Environment, new_tokens, operation
from tests.interleavings.model.world import CLAIMED, CLAIMED_WITHOUT_ID
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.readings import Account, Answer, Publication, Reading
from worker.refresh import refresh


def _refresh(script: Script, environment: Environment, engine: Engine, **renewal: Any) -> None:
    refresh(JOB, environment.context(engine, script, **renewal))


def _answers(answer: Answer, **fields: Any) -> Script:
    return lambda _account, publication: Reading(publication.id, answer, **fields)


def _ends(error: Callable[[], RefreshError]) -> Script:
    return lambda _account, _publication: error()


def _learns_the_id(_account: Account, publication: Publication) -> Reading:
    came = "702" if publication.id == CLAIMED_WITHOUT_ID else None
    return Reading(publication.id, Answer.READ, {"views": 20}, platform_post_id=came)


def _learns_an_id_in_use(_account: Account, publication: Publication) -> Reading:
    return Reading(publication.id, Answer.READ, {"views": 20}, platform_post_id="799")


def _processes(_account: Account, publication: Publication) -> Reading:
    if publication.platform_post_id is None:
        return Reading(publication.id, Answer.PROCESSING)
    return Reading(publication.id, Answer.READ, {"views": 20})


def _limited() -> Paused:
    until = datetime.now(UTC) + timedelta(hours=1)
    return Paused("The limit is reached.", kind=BucketKind.ACCOUNT, until=until)


def _refresh_renewed(environment: Environment, engine: Engine) -> None:
    refresh(JOB, environment.context(engine, reads(views=20), renewal=new_tokens()))


_REFRESHES: Final[dict[str, Script]] = {
    "synced": reads(views=20),
    "unchanged": reads(views=10),
    "id_learned": _learns_the_id,
    "processing": _processes,
    "missing": _answers(Answer.MISSING),
    "window_closed": _answers(Answer.WINDOW_CLOSED),
    "unavailable": _answers(Answer.UNAVAILABLE),
    "retried": _ends(lambda: TryAgain("Timed out.")),
    "limited": _ends(_limited),
    "misconfigured": _ends(lambda: Misconfigured("The app is refused.")),
    "reauthorize": _ends(lambda: Reauthorize("The token is refused.")),
}
_OLD = f"UPDATE publications SET created_at = now() - interval '40 days' WHERE id = {CLAIMED_WITHOUT_ID};"
_GONE = (
    f"UPDATE refresh_state SET missing_since = now() - interval '3 days' WHERE publication_id = {CLAIMED};"
)
_POISONED = "UPDATE refresh_state SET unfinished = 6, attempts = 6 WHERE publication_id = 1;"

REFRESHES: Final = [
    *(
        operation(
            f"refresh_{name}",
            partial(_refresh, script),
            "active disconnected paused spent erasing delivering ended_month"
            if name == "synced"
            else "active",
        )
        for name, script in _REFRESHES.items()
    ),
    operation("refresh_gone", partial(_refresh, _answers(Answer.MISSING)), "active", _GONE),
    operation("refresh_given_up", partial(_refresh, _processes), "active", _OLD),
    operation("refresh_same_id_learned", partial(_refresh, _learns_an_id_in_use), "active"),
    operation("refresh_poisoned", partial(_refresh, reads(views=20)), "active", _POISONED),
    operation("refresh_renewed", _refresh_renewed, "expiring"),
]
