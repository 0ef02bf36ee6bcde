"""The report of `make drill`: each run replaces what it measured, and every fault has two interfaces."""

from deploy.drill.__main__ import Recovery, report
from deploy.drill.faults import FAULTS


def test_run_replaces_its_own_rows_of_the_report_and_no_others() -> None:
    first = report(
        "", [Recovery("credits spent", "page", 8.0, 2, 9.0), Recovery("no worker", "terminal", 1.0, 1, 2.0)]
    )

    second = report(first, [Recovery("credits spent", "page", 12.4, 1, 0.6)])

    rows = [line for line in second.splitlines() if line.startswith("| ")]
    assert rows[1:] == [
        "| credits spent | page | 12 s | 1 click | 1 s |",
        "| no worker | terminal | 1 s | 1 command | 2 s |",
    ]


def test_faults_have_names_of_their_own_and_credits_come_first() -> None:
    names = [fault.name for fault in FAULTS]

    assert names[0] == "credits spent"
    assert len(set(names)) == len(names)
