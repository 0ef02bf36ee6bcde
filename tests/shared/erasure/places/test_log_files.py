"""Log files under our control name an erased subject no more, and the certificate counts them."""

from pathlib import Path

import pytest

from shared.erasure import requests
from shared.erasure.places.log_files import LogFiles, LogFilesError, log_files_of
from shared.erasure.run import step
from shared.redis_client import RedisClient
from shared.settings import Settings
from tests.harness import Harness
from tests.shared.erasure.subjects import fill, request_account

LINES = (
    b'{"event": "refreshed", "account": "acc_gone", "rows": 3}\n',
    b'{"event": "refreshed", "account": "acc_kept", "rows": 3}\n',
    b"ERROR:  duplicate key, DETAIL: Brand gone of ws_1\n",
    b"a line that its process has not ended: acc_gone",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "worker.log").write_bytes(b"".join(LINES))
    (logs / "api.log").write_bytes(LINES[1])
    return logs


def test_lines_that_name_the_subject_become_blank_and_others_stay(
    harness: Harness, client: RedisClient, folder: Path
) -> None:
    fill(harness, client)
    code = request_account(harness)
    logs = LogFiles([folder, folder / "absent.log"])

    with (folder / "worker.log").open("ab") as running:
        while step(harness.engine, client, None, logs) is not None:
            pass
        running.write(b"\nthe next line\n")

    written = (folder / "worker.log").read_bytes()
    assert [line.strip() for line in written.splitlines()] == [
        b"",
        LINES[1].strip(),
        b"",
        b"",
        b"the next line",
    ]
    assert len(written) == len(b"".join(LINES)) + len(b"\nthe next line\n")
    assert (folder / "api.log").read_bytes() == LINES[1]
    with harness.engine.connect() as connection:
        erased = requests.certificate(connection, code)
    assert erased is not None
    assert erased.scan is not None
    assert (erased.clean, erased.scan["log_files"], erased.rows["log lines"]) == (True, 2, 3)


def test_line_that_is_written_after_the_removal_is_found_by_the_scan(
    harness: Harness, client: RedisClient, folder: Path
) -> None:
    fill(harness, client)
    request_account(harness)
    logs, matches = LogFiles([folder]), []

    while (done := step(harness.engine, client, None, logs)) is not None:
        if done.phase == "scan":
            with (folder / "worker.log").open("ab") as running:
                running.write(b"\nacc_gone once more")
        matches.append(done.left_over)

    assert matches[-1] == {"log lines": 1}


def test_file_that_cannot_be_read_stops_the_erasure(
    harness: Harness, client: RedisClient, tmp_path: Path
) -> None:
    fill(harness, client)
    request_account(harness)
    place = tmp_path / "folder.log"
    place.mkdir(mode=0o700)
    (place / "worker.log").symlink_to("/proc/self/mem")

    def erase() -> None:
        while step(harness.engine, client, None, LogFiles([place])) is not None:
            pass

    with pytest.raises(LogFilesError, match="cannot be read"):
        erase()


def test_setting_names_files_and_folders() -> None:
    assert log_files_of(Settings()) is None
    logs = log_files_of(Settings(erasure_logs=f"{__file__}, {Path(__file__).parents[1]}"))
    assert logs is not None
    assert {Path(__file__)} < set(logs.files())
