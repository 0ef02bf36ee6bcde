"""OpenTelemetry traces from a request at the API to the call of a platform, as an optional extra.

``pip install 'dravo-analytics-sync[tracing]'`` installs it, and OpenTelemetry's own variables name the
collector (``OTEL_EXPORTER_OTLP_ENDPOINT`` enables it):
https://opentelemetry.io/docs/specs/otel/protocol/exporter/

The trace context travels as a W3C ``traceparent``: in the request's header, in the payload of the
notification, in the queue's message. Where a context is lost, work goes on and a new trace begins. Spans
contain fixed names and ids, never a URL, a text or a token.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

try:
    from opentelemetry import propagate, trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
except ImportError:
    INSTALLED = False
else:
    INSTALLED = True

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
HEADER: Final = "traceparent"
_tracer: "trace.Tracer | None" = None

Attribute = str | int | float | bool


def configure(service: str) -> None:
    """Send this process's spans to the collector that the environment names, if it names one."""
    if INSTALLED and any(os.environ.get(name) for name in ENDPOINTS):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider = TracerProvider(resource=Resource.create({"service.name": f"dravo-{service}"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        use(provider)


def use(provider: "TracerProvider | None") -> None:
    """Create spans with this provider; ``None``: create none."""
    global _tracer  # one per process, set at its start
    _tracer = provider.get_tracer("dravo") if provider else None


@contextmanager
def span(name: str, *, parent: str | None = None, **attributes: Attribute) -> Iterator[dict[str, Attribute]]:
    """Run the block in a span below ``parent`` (a ``traceparent``), or else below the current span.

    The block may add attributes to the dictionary that it receives.
    """
    added: dict[str, Attribute] = {}
    if _tracer is None:
        yield added
        return
    context = propagate.extract({HEADER: parent}) if parent else None
    with _tracer.start_as_current_span(name, context=context, attributes=attributes) as current:
        try:
            yield added
        finally:
            current.set_attributes(added)


def traceparent() -> str | None:
    """Return the trace context of the current span, for another process to continue from."""
    if _tracer is None:
        return None
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get(HEADER)
