"""``dravo demo``: makes the simulated platforms of `dravo up` fail, ends the failure, and audits promises."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy import console
from deploy.console import AsJson, CommandError, UsageError
from deploy.local import running
from shared.vocabulary import Platform

SLOW_SECONDS = 6.0
"""How long a slow platform takes for each answer."""

demo = typer.Typer(help="Make the simulated platforms of `dravo up` fail.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(demo, name="demo")


@demo.callback()
def family() -> None:
    """Make the simulated platforms of `dravo up` fail, to see what the pipeline does about it."""


@demo.command(
    "break", epilog="Examples: dravo demo break x --credits\n\ndravo demo break instagram --slow --json"
)
def break_(
    platform: Annotated[Platform, typer.Argument(help="The simulated platform.")],
    *,
    credits_: Annotated[
        bool, typer.Option("--credits", help="Its credits are used up; only X sells credits.")
    ] = False,
    outage: Annotated[bool, typer.Option("--outage", help="It answers every call with a 503.")] = False,
    storm: Annotated[
        bool, typer.Option("--storm", help="It refuses every call with a 429 that does not say for how long.")
    ] = False,
    slow: Annotated[bool, typer.Option("--slow", help=f"Each answer takes {SLOW_SECONDS:g} s.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a simulated platform fail until `dravo demo heal`. What it did before is replaced.

    JSON: ``platform``, ``conditions`` (array: ``credits``, ``outage``, ``storm``, ``slow``).
    """
    if credits_ and platform is not Platform.X:
        raise UsageError(f"--credits is for x: {platform.label} sells no credits")
    conditions: dict[str, Any] = {}
    chosen: dict[str, tuple[bool, dict[str, Any]]] = {
        "credits": (credits_, {"credits_depleted": True}),
        "outage": (outage, {"outage": True}),
        "storm": (storm, {"storm": True}),
        "slow": (slow, {"latency_seconds": SLOW_SECONDS}),
    }
    for given, values in chosen.values():
        conditions |= values if given else {}
    if not conditions:
        raise UsageError("say what happens: --credits, --outage, --storm or --slow")
    _behave([platform], conditions)
    names = [name for name, (given, _) in chosen.items() if given]
    if as_json:
        console.emit({"platform": platform.value, "conditions": names})
        return
    command = running.program()
    console.show(
        f"{platform.label} fails now: {', '.join(names)}. See what happens:",
        "",
        f"  {command} status --watch",
        f"  {command} pauses",
        f"  {command} demo heal",
    )


@demo.command(epilog="Examples: dravo demo heal\n\ndravo demo heal x")
def heal(
    platform: Annotated[
        Platform | None, typer.Argument(help="The simulated platform; without it, all of them.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Let a simulated platform answer again as usual.

    JSON: ``healed`` (array of platforms).
    """
    platforms = [platform] if platform else list(Platform)
    _behave(platforms, {})
    if as_json:
        console.emit({"healed": [one.value for one in platforms]})
        return
    names = ", ".join(one.label for one in platforms)
    command = running.program()
    console.show(
        f"As usual again: {names}. Pauses end by themselves, except those that need an operator:",
        "",
        f"  {command} pauses",
        f"  {command} resume --platform {platforms[0].value if platform else 'x'} --try",
    )


@demo.command(epilog="Examples: dravo demo audit\n\ndravo demo audit --seconds 60 --json")
def audit(
    *,
    seconds: Annotated[float, typer.Option(min=0, max=3600, help="How long rows are read.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Compare what rows promise their readers with the numbers of the simulated platforms at each read.

    Reads the rows of the demo's workspace as an API client does.

    JSON: ``platforms`` (array of ``platform``, ``reads``, ``claimed_within_5_percent`` and
    ``true_within_5_percent``, parts of the reads).
    """
    import httpx  # here: no other command needs it

    from deploy.local.audit import audit as audited_by

    control, api_url = os.environ.get(running.CONTROL), os.environ.get(running.API_URL)
    key = Path(os.environ.get("DRAVO_DATA_DIR", running.DIRECTORY)) / "api-key"
    if not control or not api_url or not key.exists():
        raise CommandError("no simulated platforms were found: start `dravo up` in this directory first")
    headers = {"authorization": f"Bearer {key.read_text().strip()}"}
    try:
        with (
            httpx.Client(base_url=api_url, timeout=10, trust_env=False, headers=headers) as api,
            httpx.Client(base_url=control, timeout=10, trust_env=False) as platforms,
        ):
            results = audited_by(api, platforms, seconds)
    except httpx.HTTPError as error:
        raise CommandError("the local stack does not answer: is `dravo up` running here?") from error
    shapes = [
        {
            "platform": platform.value,
            "reads": one.reads,
            "claimed_within_5_percent": round(one.claimed / one.reads, 4),
            "true_within_5_percent": round(one.true / one.reads, 4),
        }
        for platform, one in sorted(results.items())
    ]
    if as_json:
        console.emit({"platforms": shapes})
        return
    headings = ["platform", "reads", "claimed within 5 %", "true within 5 %"]
    rows = [
        [platform.label, one.reads, f"{one.claimed / one.reads:.1%}", f"{one.true / one.reads:.1%}"]
        for platform, one in sorted(results.items())
    ]
    console.show(console.table(headings, rows, right=headings[1:]))


def _behave(platforms: list[Platform], conditions: dict[str, Any]) -> None:
    import httpx  # here: no other command needs it

    control = os.environ.get(running.CONTROL)
    if not control:
        raise CommandError("no simulated platforms were found: start `dravo up` in this directory first")
    try:
        with httpx.Client(base_url=control, timeout=10, trust_env=False) as client:
            for platform in platforms:
                client.put(f"/behaviour/{platform.value}", json=conditions).raise_for_status()
    except httpx.HTTPError as error:
        raise CommandError(
            "the simulated platforms do not answer: is `dravo up` running in this directory?"
        ) from error
