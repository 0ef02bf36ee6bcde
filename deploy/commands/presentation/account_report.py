"""The report of `dravo accounts check` as lines for people."""

from collections.abc import Mapping
from typing import Any


def report_lines(report: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Return the lines of a report, each with its name."""
    expires, renewable = report["token_expires_at"], report["refresh_token_expires_at"]
    return [
        ("account", f"{report['account_id']} of {report['workspace_id']}, {report['state']}"),
        ("identity", f"{report['platform']} {report['platform_account_id']}"),
        ("scopes", ", ".join(report["scopes"]) or "none known"),
        ("token", f"expires {expires}" if expires else "no known expiry"),
        ("renewable", f"until {renewable}" if renewable else "-"),
        ("read", f"{report['post_id']}: {report['answer']}" if report["answer"] else "nothing"),
        ("metrics", ", ".join(report["metrics"]) or "-"),
        *(("warning", warning) for warning in report["warnings"]),
        *(("limit", _limit(limit)) for limit in report["limits"]),
        ("result", report["problem"] or "the account can be read"),
        *([("to do", report["to_do"])] if report["to_do"] else []),
    ]


def _limit(limit: Mapping[str, Any]) -> str:
    bucket = " ".join(filter(None, (limit["kind"], limit["endpoint"])))
    used = f"{limit['used_percent']} % used"
    left = used if limit["limit"] is None else f"{limit['remaining']} of {limit['limit']} left"
    return f"{bucket}: {left}" + (f", resets {limit['resets_at']}" if limit["resets_at"] else "")
