"""``/llms.txt``: the API reference as text, for assistants and terminals (https://llmstxt.org)."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from api_stub.docs.openapi import DOCUMENT
from api_stub.docs.operations import ANALYTICS

_HEAD: Final = """\
# {title}

> {summary}

- [OpenAPI document](/openapi.json): every operation and schema
- [API reference](/docs): the same as a page, for people

{description}
# Operations

"""
_SAMPLE: Final = """\
```sh
curl -H "Authorization: Bearer $DRAVO_API_KEY" "$DRAVO_URL{path}"
```
"""


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {method.upper()} {path}\n\n{operation['summary']}. {operation.get('description', '')}".rstrip()
    yield "\n\n"
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        allowed = f" One of {', '.join(schema['enum'])}." if "enum" in schema else ""
        bounds = f" {schema['minimum']} to {schema['maximum']}." if "maximum" in schema else ""
        default = f" Default {schema['default']}." if "default" in schema else ""
        yield f"- `{parameter['name']}`: {parameter['description']}{allowed}{bounds}{default}\n"
    if operation["tags"] == [ANALYTICS]:
        yield "\n" + _SAMPLE.format(path=path.format(post_id="post_2a7f93"))
    yield "\n"


def render() -> str:
    """Return the reference as Markdown."""
    operations = (
        part
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        for part in _operation(method, path, operation)
    )
    return _HEAD.format(**DOCUMENT["info"]) + "".join(operations)


_TEXT: Final = render()


async def llms(_request: Request) -> Response:
    """Answer with the reference as Markdown."""
    return Response(_TEXT, media_type="text/markdown; charset=utf-8")
