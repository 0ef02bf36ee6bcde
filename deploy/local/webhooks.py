"""The sender of `dravo up`, and a receiver that the demo's workspace delivers to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, text

from deploy.local import private_files
from deploy.local.servers.server_process import free_port
from deploy.local.services import Services
from shared.accounts.vault import Vault
from shared.settings import Settings
from shared.webhooks import endpoints

LOOPBACK: Final = "127.0.0.0/8"
"""What webhooks of `dravo up` may reach beside public addresses."""


def start(
    services: Services,
    engine: Engine,
    settings: Settings,
    environment: Mapping[str, str],
    data_dir: Path,
    workspace_id: str,
) -> str:
    """Start both; return the address at which the receiver shows what it gets."""
    url, secret_file = f"http://127.0.0.1:{free_port()}/", data_dir / "webhook-secret"
    with engine.begin() as connection:
        if secret_file.exists():  # the receiver has another port in each run
            connection.execute(
                text(
                    "UPDATE webhook_endpoints SET url = :url WHERE workspace_id = :w AND host = '127.0.0.1'"
                ),
                {"url": url, "w": workspace_id},
            )
        else:
            _, secret = endpoints.add(
                connection,
                Vault(settings.secret_keys),
                workspace_id,
                url,
                (),
                thin=False,
                from_beginning=True,
            )
            private_files.write(secret_file, secret.get_secret_value())
    port = url.rpartition(":")[2].strip("/")
    bare = {name: value for name, value in environment.items() if not name.startswith("DRAVO_")}
    services.start(
        "receiver", "deploy.local.receiver", bare, "--port", port, "--secret-file", str(secret_file)
    )
    services.start("sender", "worker.webhooks", environment)
    return url
