"""``/docs``: the API reference, shown by Scalar, whose script this package contains; no other host is asked.

``static/README.md`` says where the script is from.
"""

import gzip
import json
from hashlib import sha256
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from api_stub.http.errors import not_found

_HERE: Final = Path(__file__).parent
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self';"
    " img-src 'self' data:; font-src 'self' data:; form-action 'none'; base-uri 'none';"
    " frame-ancestors 'none'"
)
_HIDDEN_CLIENTS: Final = {
    **dict.fromkeys(
        ("c", "clojure", "csharp", "dart", "fsharp", "go", "http", "java", "kotlin", "node", "objc", "ocaml"),
        True,
    ),
    **dict.fromkeys(("php", "powershell", "python", "r", "ruby", "rust", "swift"), True),
    "shell": ["wget", "httpie"],
    "js": ["axios", "jquery", "xhr", "ofetch"],
}
"""curl and JavaScript (fetch) remain. Scalar's samples for Python do not run: see samples."""
_CSS: Final = """
.markdown code { white-space: nowrap; }
.markdown table { display: block !important; width: fit-content !important; max-width: 100%; }
.client-libraries-list { display: none !important; }
.light-mode {
  --scalar-color-2: #4a4a4a; --scalar-color-3: #5c5c5c; --scalar-color-blue: #004a9e;
  --scalar-color-green: #065f2c; --scalar-color-orange: #8a3600; --scalar-color-red: #a3001b;
  --scalar-color-purple: #5326a0; --scalar-color-yellow: #6b4e00;
}
.dark-mode { --scalar-color-2: #c4c4c4; --scalar-color-3: #a8a8a8; }
"""
_CONFIGURATION: Final = {
    "theme": "default",
    "layout": "modern",
    "withDefaultFonts": False,  # they are on another host
    "telemetry": False,
    "persistAuth": False,  # a key is not stored in the browser
    "hideClientButton": True,  # it leads to another host
    "showDeveloperTools": "never",
    "agent": {"disabled": True},
    "mcp": {"disabled": True},
    "documentDownloadType": "json",
    "defaultOpenAllTags": True,
    "hideModels": True,  # each operation shows its own
    "authentication": {"preferredSecurityScheme": "apiKey"},
    "defaultHttpClient": {"targetKey": "shell", "clientKey": "curl"},
    "hiddenClients": _HIDDEN_CLIENTS,
    "customCss": _CSS,
}
_SCRIPTS: Final = {
    "scalar.js": (_HERE / "static/scalar.js.gz").read_bytes(),
    "accessibility.js": gzip.compress((_HERE / "static/accessibility.js").read_bytes(), mtime=0),
}
_VERSION: Final = sha256(b"".join(_SCRIPTS.values())).hexdigest()[:16]


def _render() -> bytes:
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(
        (_HERE / "page.html").read_text(encoding="utf-8")
    )
    return template.render(configuration=json.dumps(_CONFIGURATION), version=_VERSION).encode()


_PAGE: Final = _render()


async def page(_request: Request) -> Response:
    """Answer with the page."""
    return Response(_PAGE, headers={"Content-Security-Policy": _POLICY}, media_type="text/html")


async def script(request: Request) -> Response:
    """Answer with a script, compressed as it is kept unless the client cannot expand it."""
    compressed = _SCRIPTS.get(request.path_params["name"])
    if compressed is None or request.path_params["version"] != _VERSION:
        raise not_found("There is nothing at this address; see /docs.")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("Accept-Encoding", ""):
        return Response(gzip.decompress(compressed), headers=headers, media_type="text/javascript")
    headers["Content-Encoding"] = "gzip"
    return Response(compressed, headers=headers, media_type="text/javascript")
