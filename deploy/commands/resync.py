"""``dravo resync``: makes selected publications due now, so that workers fetch their analytics again."""

import re
import time
from dataclasses import asdict
from typing import Annotated

import typer
from sqlalchemy import Engine

from deploy import console, stores
from deploy.console import AsJson, CommandError, UsageError, instant
from deploy.local import running
from deploy.resync.instants import end_instant, first_instant
from deploy.resync.run import Tally, make_all_due, make_all_due_and_wait
from shared.operations import audit_log, bulk_resync
from shared.operations.audit_log import Operator
from shared.operations.bulk_resync import INTERACTIVE_UP_TO, Pace
from shared.operations.estimate import Estimate, estimate
from shared.operations.explain import find
from shared.operations.holds.groups import HeldGroup, held_groups
from shared.operations.selection import Selection
from shared.settings import load
from shared.vocabulary import Platform, SyncStatus

_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(?:/s)?")


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(
        epilog="Examples: dravo resync --post post_2a7f93 --wait\n\n"
        "dravo resync --platform x --status failed --dry-run\n\n"
        "dravo resync --all --rate 50/s\n\n"
        "dravo resync --resume 17"
    )(resync)


def resync(
    *,
    post: Annotated[
        list[str] | None, typer.Option(help="A post id, platform post id, publish id or publication id.")
    ] = None,
    account: Annotated[list[str] | None, typer.Option(help="Publications of this account.")] = None,
    platform: Annotated[list[Platform] | None, typer.Option(help="Publications on this platform.")] = None,
    workspace: Annotated[list[str] | None, typer.Option(help="Publications of this workspace.")] = None,
    status: Annotated[list[SyncStatus] | None, typer.Option(help="Publications in this status.")] = None,
    created_from: Annotated[
        str | None, typer.Option("--from", help="Created then or later: a date or an instant, UTC.")
    ] = None,
    created_to: Annotated[
        str | None, typer.Option("--to", help="Created then or earlier; a date means the whole UTC day.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All publications.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for the outcomes; exit 1 if any failed.")
    ] = False,
    timeout: Annotated[float | None, typer.Option(min=0, help="Seconds after which --wait gives up.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print rows, calls and dollars, and change nothing.")
    ] = False,
    rate: Annotated[
        str | None, typer.Option(metavar="N/s", help="Make at most so many rows due a second.")
    ] = None,
    after: Annotated[int, typer.Option(min=0, help="Continue a stopped run after this publication id.")] = 0,
    resume: Annotated[
        int | None,
        typer.Option(min=1, metavar="ACT_ID", help="Resume a stopped re-sync of `dravo audit-log`."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make the matching rows due now, so that workers refresh them.

    Repeated options of one kind are alternatives; options of different kinds must all match.

    JSON: ``rows``, ``calls`` (HTTP calls to platforms), ``dollars`` (X alone charges), ``synced``, ``failed``
    (``requires_reconnect`` and rows that cannot be refreshed included), ``failures`` (those with an outcome,
    by cause: array of ``platform``, ``outcome``, ``detail``, ``rows``, ``examples``), ``postponed`` (the
    platform answered, a later refresh decides), ``unfinished`` (no outcome within --timeout),
    ``waiting_for`` (what these wait for: array of ``cause``, ``scope``, ``sentence``, ``rows``, ``at``,
    ``to_do``, ``examples``), ``made_due``, ``unavailable`` (rows that cannot be refreshed), ``last`` and
    ``dry_run``.
    """
    start = None if created_from is None else first_instant(created_from, "--from")
    end = None if created_to is None else end_instant(created_to, "--to")
    if start and end and start >= end:
        raise UsageError("--from must not be after --to")
    filters = (post, account, platform, workspace, status, start, end)
    _check_selection(filtered=any(filters), every=every, resume=resume, after=after)
    if timeout is not None and not wait:
        raise UsageError("--timeout needs --wait")
    pace = Pace(_rate(rate))
    settings = load("database_url")
    with stores.engine(settings) as engine:
        if resume is not None:
            selection, after = _recorded(engine, resume)
        else:
            selection = Selection(
                ids=_named(engine, post),
                accounts=tuple(account or ()),
                platforms=tuple(platform or ()),
                workspaces=tuple(workspace or ()),
                statuses=tuple(status or ()),
                created_from=start,
                created_before=end,
            )
        with engine.connect() as connection:
            expected = estimate(connection, selection, settings, after=after)
        tally = Tally(last=after)
        if not dry_run and expected.rows:
            resume = resume or _begun(engine, selection, after)
            unfinished = _run(engine, resume, expected, tally, pace, wait=wait, timeout=timeout)
            tally.unfinished = len(unfinished)
            tally.waiting_for = _waiting_for(engine, unfinished)
    _report(expected, tally, wait=wait, dry_run=dry_run, as_json=as_json)
    nothing_made_due = bool(expected.rows) and not expected.refreshable
    if not dry_run and (nothing_made_due or (wait and (tally.failed or tally.unfinished))):
        raise typer.Exit(1)


def _check_selection(*, filtered: bool, every: bool, resume: int | None, after: int) -> None:
    if resume is not None and (every or filtered or after):
        raise UsageError("--resume continues a recorded selection: no filter, --all or --after goes with it")
    if resume is None and not every and not filtered:
        raise UsageError("say which publications: give --post, --account, --platform, … or --all")
    if every and filtered:
        raise UsageError("--all means all publications: give it without filters")


def _begun(engine: Engine, selection: Selection, after: int) -> int:
    """Record that a re-sync begins, so that it can be resumed; return its entry in the audit log."""
    with engine.begin() as connection:
        return bulk_resync.begin(connection, Operator.at_terminal(), selection, after=after)


def _recorded(engine: Engine, entry_id: int) -> tuple[Selection, int]:
    """Return what a stopped re-sync selects, and the publication after which it continues."""
    with engine.connect() as connection:
        entry = audit_log.entry(connection, entry_id)
    selection = bulk_resync.unfinished_selection(entry)
    if entry is None or selection is None:
        raise CommandError(f"{entry_id} is not a re-sync that can be resumed: see `dravo audit-log`")
    return selection, entry.last or 0


def _named(engine: Engine, posts: list[str] | None) -> tuple[int, ...] | None:
    if not posts:
        return None
    ids: list[int] = []
    with engine.connect() as connection:
        for name in posts:
            matches = find(connection, name)
            if not matches:
                raise CommandError(f"no publication has the id {name}: is it imported?")
            ids += matches
    return tuple(sorted(set(ids)))


def _rate(value: str | None) -> float | None:
    if value is None:
        return None
    match = _RATE.fullmatch(value)
    if not match or float(match[1]) <= 0:
        raise UsageError("--rate must be a number of rows a second, like 50/s")
    return float(match[1])


def _run(
    engine: Engine,
    entry_id: int,
    expected: Estimate,
    tally: Tally,
    pace: Pace,
    *,
    wait: bool,
    timeout: float | None,
) -> list[int]:
    """Make the rows due and, with ``wait``, wait for their outcomes; return the rows that have none."""
    interactive = expected.rows <= INTERACTIVE_UP_TO
    with console.progress() as bar:
        task = bar.add_task("re-syncing" if wait else "making due", total=expected.rows)

        def update() -> None:
            done = tally.synced + tally.failed + tally.postponed if wait else tally.seen
            bar.update(task, completed=done, total=max(expected.rows, done))

        try:
            steps = bulk_resync.run(engine, entry_id, pace, interactive=interactive)
            if not wait:
                make_all_due(steps, tally, on_progress=update)
                return []
            until = time.monotonic() + timeout if timeout is not None else None
            return make_all_due_and_wait(
                engine,
                steps,
                tally,
                until=until,
                paced=pace.rate is not None,
                on_progress=update,
                on_idle=lambda waiting: _complain_of(_waiting_for(engine, waiting)),
            )
        except KeyboardInterrupt:
            console.complain(
                f"dravo: stopped; {tally.seen} of {expected.rows} rows were made due and stay due;"
                f" --after {tally.last} or --resume {entry_id} continues with the rest"
            )
            raise


def _waiting_for(engine: Engine, ids: list[int]) -> list[HeldGroup]:
    if not ids:
        return []
    with engine.connect() as connection:
        return held_groups(connection, ids)


def _complain_of(groups: list[HeldGroup]) -> None:
    for group in groups:
        posts = ", ".join(group.examples) + (", …" if group.rows > len(group.examples) else "")
        when = f"; next run {instant(group.at)}" if group.at and group.cause != "waiting" else ""
        rows = "1 row waits" if group.rows == 1 else f"{group.rows} rows wait"
        console.complain(f"dravo: {rows} ({posts}): {group.sentence}{when}. {group.to_do}")


def _show_causes(tally: Tally) -> None:
    if not tally.failures:
        return
    lines = [
        (
            one.rows,
            one.platform,
            one.outcome,
            one.detail,
            f"{running.program()} why {one.examples[0]}" if one.examples else None,
        )
        for one in tally.causes
    ]
    headings = ("rows", "platform", "outcome", "cause", "explained by")
    console.show(console.table(headings, lines, right=("rows",), optional=("platform",)))


def _report(expected: Estimate, tally: Tally, *, wait: bool, dry_run: bool, as_json: bool) -> None:
    if as_json:
        console.emit(
            {
                "rows": expected.rows,
                "calls": expected.calls,
                "dollars": expected.dollars,
                "synced": tally.synced,
                "failed": tally.failed,
                "failures": [asdict(one) for one in tally.causes],
                "postponed": tally.postponed,
                "unfinished": tally.unfinished,
                "waiting_for": [
                    {**asdict(group), "at": instant(group.at), "examples": list(group.examples)}
                    for group in tally.waiting_for
                ],
                "made_due": tally.made_due,
                "unavailable": expected.unavailable,
                "last": tally.last,
                "dry_run": dry_run,
            }
        )
        return
    cost = f"{expected.rows} rows, {expected.calls} calls, {expected.dollars:.3f} dollars"
    console.show(f"{cost} (dry run: nothing was made due)" if dry_run else cost)
    if wait and not dry_run:
        console.show(f"{tally.synced} synced, {tally.failed} failed, {tally.postponed} postponed")
        _show_causes(tally)
    if tally.unfinished:
        console.complain(f"dravo: {tally.unfinished} rows have no outcome yet; workers keep trying them")
        _complain_of(tally.waiting_for)
    if expected.unavailable:
        console.complain(
            f"dravo: {expected.unavailable} rows cannot be refreshed: their account must be reconnected,"
            " their platform id is unknown, or they are in quarantine"
        )
