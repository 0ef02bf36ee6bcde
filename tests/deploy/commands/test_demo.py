"""`dravo demo`, and how commands find a local stack: settings and addresses that `dravo up` leaves behind."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local import running
from deploy.simulators.server import Simulators
from tests.deploy.commands.conftest import Dravo


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Leave the files of a local stack in a directory, and go to a directory below it."""
    (tmp_path / ".dravo").mkdir()
    below = tmp_path / "some" / "where"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    for name in ("DRAVO_DATABASE_URL", running.CONTROL, running.API_URL, "DRAVO_REDIS_URL"):
        monkeypatch.setenv(name, "")  # so that what a command sets is undone
        monkeypatch.delenv(name)
    return tmp_path / ".dravo"


def test_audit_compares_the_promised_share_with_the_simulated_platforms(
    stack: Path, dravo: Dravo, monkeypatch: pytest.MonkeyPatch
) -> None:
    def served(number: int, promise: float | None) -> dict[str, Any]:
        return {
            "platform": "x",
            "platform_post_id": f"{len(items)}",
            "metrics": {"impression_count": number},
            "freshness": None if promise is None else {"within_5_percent": promise},
        }

    items: list[dict[str, Any]] = []
    for number, promise in ((1000, 0.9), (970, 0.8), (500, 0.1), (1000, None), (7, 0.9)):
        items.append(served(number, promise))
    truth = [1000, 1000, 1000, 1000, None]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/truth":
            assert [one["platform_post_id"] for one in json.loads(request.content)] == list("01234")
            return httpx.Response(200, json={"numbers": truth})
        assert request.headers["authorization"] == "Bearer dra_secret"
        assert request.url.params["include"] == "freshness"
        return httpx.Response(200, json={"items": items, "total": len(items)})

    monkeypatch.setattr(httpx, "Client", partial(httpx.Client, transport=httpx.MockTransport(answer)))
    (stack / "api-key").write_text("dra_secret")
    running.write_environment(
        stack,
        {"DRAVO_DATA_DIR": str(stack)},
        **{running.CONTROL: "http://127.0.0.1:9", running.API_URL: "http://127.0.0.1:9"},
    )
    monkeypatch.delenv("DRAVO_DATA_DIR", raising=False)

    (x,) = dravo("demo", "audit", "--seconds", "0", "--json").json["platforms"]

    assert x == {
        "platform": "x",
        "reads": 3,
        "claimed_within_5_percent": 0.6,
        "true_within_5_percent": 0.6667,
    }
    assert "66.7%" in dravo("demo", "audit", "--seconds", "0").out


def test_settings_of_a_local_stack_are_found_in_a_directory_above(stack: Path, dravo: Dravo) -> None:
    url = "postgresql://a'b:c d@127.0.0.1:9/none"
    running.write_environment(stack, {"DRAVO_DATABASE_URL": url, "PATH": "/bin"}, SIMULATORS_CONTROL="here")

    assert running.read_environment(stack / "env") == {
        "DRAVO_DATABASE_URL": url,
        "SIMULATORS_CONTROL": "here",
    }
    result = dravo("keys", "list")

    assert result.code == 1
    assert result.err.splitlines()[0] == f"dravo: DRAVO_DATABASE_URL is not set: using {stack / 'env'}"
    assert "PostgreSQL refuses connections" in result.err


@pytest.mark.parametrize(
    "arguments", [("migrate",), ("worker",), ("secrets", "generate"), ("status", "--help")]
)
def test_services_secrets_and_help_do_not_join_a_local_stack(
    stack: Path, dravo: Dravo, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.execv", lambda *_: None)
    running.write_environment(stack, {"DRAVO_DATABASE_URL": "postgresql://127.0.0.1:9/none"})

    assert "using" not in dravo(*arguments).err


def test_database_that_is_set_is_used(
    stack: Path, operator: Dravo, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRAVO_DATABASE_URL", database_url)
    running.write_environment(stack, {"DRAVO_DATABASE_URL": "postgresql://127.0.0.1:9/none"})

    result = operator("keys", "list", "--json")

    assert (result.code, result.err) == (0, "")


def test_file_of_another_user_is_ignored(stack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running.write_environment(stack, {})
    assert running.find_environment(Path.cwd()) == stack / "env"
    monkeypatch.setattr("os.geteuid", lambda: 4_711)

    assert running.find_environment(Path.cwd()) is None


def test_printed_command_works_when_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / ".venv/bin/dravo"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    monkeypatch.setattr("sys.argv", [str(program)])
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(tmp_path)
    assert running.program() == ".venv/bin/dravo"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert running.program() == str(program)
    monkeypatch.setenv("PATH", str(program.parent))
    assert running.program() == "dravo"


def test_simulated_platform_breaks_and_heals(stack: Path, dravo: Dravo) -> None:
    with Simulators() as simulators:
        running.write_environment(stack, {}, SIMULATORS_CONTROL=simulators.urls["control"])

        def answers() -> int:
            return httpx.get(f"{simulators.urls['x']}/2/tweets?ids=1").status_code

        usual = answers()
        for option, status in (("--outage", 503), ("--storm", 429)):
            assert dravo("demo", "break", "x", option, "--json").json == {
                "platform": "x",
                "conditions": [option[2:]],
            }
            assert answers() == status
        assert "demo heal" in dravo("demo", "break", "x", "--credits").out
        assert simulators.behaviours["x"].conditions.credits_depleted
        assert dravo("demo", "heal", "--json").json["healed"] == [
            "instagram",
            "facebook",
            "x",
            "linkedin",
            "tiktok",
        ]
        assert answers() == usual


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("break", "instagram", "--credits"), 2, "--credits is for x: Instagram sells no credits"),
        (("break", "x"), 2, "say what happens: --credits, --outage, --storm or --slow"),
        (("heal",), 1, "no simulated platforms were found"),
    ],
)
@pytest.mark.usefixtures("stack")
def test_what_cannot_be_broken_is_one_sentence(
    dravo: Dravo, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    result = dravo("demo", *arguments)

    assert result.code == code
    assert sentence in result.err
