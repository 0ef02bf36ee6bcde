"""A receiver of webhooks for demonstrations: it verifies each delivery and shows the latest ones.

``python -m deploy.local.receiver --port P --secret-file F`` serves on loopback until it is stopped.
"""

import argparse
import json
import sys
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final

from standardwebhooks import Webhook, WebhookVerificationError

_SHOWN: Final = 50


class Handler(BaseHTTPRequestHandler):
    """``POST`` takes a delivery, ``GET`` shows the latest ones."""

    protocol_version = "HTTP/1.1"
    timeout = 10
    secret_file: ClassVar[Path]
    latest: ClassVar[deque[dict[str, Any]]] = deque(maxlen=_SHOWN)

    def do_POST(self) -> None:
        """Verify and keep a delivery."""
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            delivery = Webhook(self.secret_file.read_text().strip()).verify(raw, dict(self.headers))
        except WebhookVerificationError as error:
            self._respond(401, str(error))
            return
        changes = delivery["data"].get("changes", [])
        entry = {"type": delivery["type"], "changes": len(changes), "timestamp": delivery["timestamp"]}
        self.latest.appendleft({**entry, "webhook_id": self.headers["webhook-id"]})
        sys.stderr.write(json.dumps(entry) + "\n")
        self._respond(200, "")

    def do_GET(self) -> None:
        """Show the latest deliveries as JSON."""
        self._respond(200, json.dumps(list(self.latest), indent=2) + "\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        """Write no line for each request."""

    def _respond(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if status < 400 else "text/plain")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--secret-file", type=Path, required=True)
    options = parser.parse_args()
    Handler.secret_file = options.secret_file
    ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
