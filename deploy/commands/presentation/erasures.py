"""The presentation of erasures: the JSON document and the certificate in words."""

from datetime import datetime
from typing import Any

from deploy.console import instant
from shared.erasure.requests import Certificate


def erasure_shape(erasure: Certificate) -> dict[str, Any]:
    """Return the JSON document of an erasure."""
    return {
        "code": erasure.code,
        "kind": erasure.kind.value,
        "source": erasure.source,
        "phase": erasure.phase,
        "requested_at": instant(erasure.requested_at),
        "ended_at": instant(erasure.ended_at),
        "rows": erasure.rows,
        "scan": erasure.scan,
        "dry_run": False,
    }


def erasure_text(erasure: Certificate) -> str:
    """Return the certificate in words, for printing."""
    deleted = ", ".join(f"{name} {number}" for name, number in sorted(erasure.rows.items()) if number)
    lines = [
        f"Erasure {erasure.code}",
        f"of one {erasure.kind.value}, requested by {erasure.source} at {_second(erasure.requested_at)}",
        f"ended at {_second(erasure.ended_at)}" if erasure.ended_at else f"not ended: phase {erasure.phase}",
        f"deleted or rewritten rows: {deleted or 'none'}",
    ]
    if erasure.scan is None:
        lines.append("scan: none yet")
    else:
        left = ", ".join(f"{place} {number}" for place, number in erasure.scan["found"].items())
        lines.append(
            f"scan of {erasure.scan['tables']} tables, Redis and {erasure.scan.get('log_files', 0)} log files"
            f" at {erasure.scan.get('scanned_at')}:"
            f" {f'left over: {left}' if left else 'nothing is left'}"
        )
    return "\n".join(lines)


def _second(value: datetime) -> str | None:
    return instant(value.replace(microsecond=0))
