"""The commands that decide which rows and accounts they change."""

from typing import Final

_RESYNC: Final = (
    "tests/deploy/commands/resync/test_resync.py",
    "tests/deploy/commands/resync/test_waiting.py",
)
_STOPS: Final = ("tests/deploy/commands/stops/test_pause.py",)
_IMPORT: Final = (
    "tests/deploy/commands/importing/test_formats.py",
    "tests/deploy/commands/importing/test_import.py",
)

COMMANDS: Final[dict[str, tuple[str, ...]]] = {
    "deploy/commands/accounts.py": ("tests/deploy/commands/test_looking.py",),
    "deploy/commands/importing/chunks.py": _IMPORT,
    "deploy/commands/importing/duplicates.py": _IMPORT,
    "deploy/commands/importing/imports.py": _IMPORT,
    "deploy/commands/importing/parts.py": ("tests/deploy/commands/importing/test_parts.py",),
    "deploy/commands/keys.py": ("tests/deploy/commands/test_cli.py",),
    "deploy/commands/resync.py": _RESYNC,
    "deploy/commands/schema.py": ("tests/deploy/commands/test_schema.py",),
    "deploy/commands/secret_values.py": ("tests/deploy/commands/test_secrets_rotate.py",),
    "deploy/commands/stops/pause.py": _STOPS,
    "deploy/commands/stops/quarantine.py": _STOPS,
    "deploy/commands/stops/trial.py": _STOPS,
    "deploy/commands/stored_data/erase.py": ("tests/deploy/commands/stored_data/test_erase.py",),
    "deploy/commands/stored_data/export.py": ("tests/deploy/commands/stored_data/test_export.py",),
    "deploy/commands/stored_data/retention.py": ("tests/deploy/commands/stored_data/test_retention.py",),
    "deploy/commands/status.py": ("tests/deploy/commands/test_looking.py",),
    "deploy/commands/webhooks/support.py": ("tests/deploy/commands/webhooks/test_webhooks.py",),
    "deploy/commands/webhooks/webhooks.py": ("tests/deploy/commands/webhooks/test_webhooks.py",),
    "deploy/row_files.py": ("tests/deploy/test_row_files.py",),
    "deploy/commands/why.py": ("tests/deploy/commands/test_looking.py",),
}
