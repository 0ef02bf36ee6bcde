"""Traces from the API's answer to the platform's call: an optional extra, and nothing without it.

``pip install 'dravo-analytics-sync[tracing]'``, and OpenTelemetry's own variables say where spans go
(``OTEL_EXPORTER_OTLP_ENDPOINT`` switches it on): https://opentelemetry.io/docs/specs/otel/protocol/exporter/

A trace travels by its W3C ``traceparent``: in the request's header, in the doorbell's payload, in the queue's
message. It is a courtesy: where a piece of paper is lost, work goes on and a new trace begins. Spans hold
words of ours and ids, never a URL, a text or a token.
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
    """Make spans with this provider; ``None``: make none."""
    global _tracer  # one for a process, set as it starts
    _tracer = provider.get_tracer("dravo") if provider else None


@contextmanager
def span(name: str, *, parent: str | None = None, **attributes: Attribute) -> Iterator[dict[str, Attribute]]:
    """Cover the block with a span, under ``parent`` (a ``traceparent``) or whatever covers it already.

    The block may put further attributes into what it is given.
    """
    told: dict[str, Attribute] = {}
    if _tracer is None:
        yield told
        return
    context = propagate.extract({HEADER: parent}) if parent else None
    with _tracer.start_as_current_span(name, context=context, attributes=attributes) as current:
        try:
            yield told
        finally:
            current.set_attributes(told)


def traceparent() -> str | None:
    """Return the paper of the span that covers us, for others to go on from."""
    if _tracer is None:
        return None
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get(HEADER)
