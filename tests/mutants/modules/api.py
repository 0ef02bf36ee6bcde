"""The modules of the API that `catalogue` does not name."""

from typing import Final

from tests.mutants.groups import FEED, POSTS, SIGNALS

_OPS: Final = (
    "tests/api_stub/ops/views/test_paging.py",
    "tests/api_stub/ops/views/test_pages.py",
    "tests/api_stub/ops/views/test_levels.py",
    "tests/api_stub/ops/views/test_overview.py",
)
_FORMS: Final = ("tests/api_stub/ops/test_forms.py",)
_REPLICA: Final = (
    "tests/api_stub/replica/test_lag.py",
    "tests/api_stub/replica/test_monitor.py",
    "tests/api_stub/replica/test_reads.py",
    "tests/api_stub/replica/test_read_your_writes.py",
    "tests/api_stub/replica/test_replica.py",
)

API: Final[dict[str, tuple[str, ...]]] = {
    "api_stub/changes/parameters.py": FEED,
    "api_stub/events/batch.py": (
        "tests/api_stub/events/test_requests.py",
        "tests/api_stub/events/test_endpoint.py",
    ),
    "api_stub/http/bodies.py": (
        "tests/api_stub/http/test_bodies.py",
        "tests/api_stub/signals/test_limits.py",
        "tests/api_stub/http/test_middleware.py",
        "tests/api_stub/ops/test_authentication.py",
    ),
    "api_stub/http/cross_origin.py": ("tests/api_stub/http/test_middleware.py",),
    "api_stub/http/database.py": (
        "tests/api_stub/http/test_database.py",
        "tests/api_stub/http/test_middleware.py",
        "tests/api_stub/posts/test_endpoint.py",
        *_REPLICA,
    ),
    "api_stub/http/errors.py": (
        "tests/api_stub/http/test_bodies.py",
        "tests/api_stub/http/test_middleware.py",
        "tests/api_stub/http/test_malicious_requests.py",
        "tests/api_stub/posts/test_parameters.py",
    ),
    "api_stub/http/health.py": (
        "tests/api_stub/http/test_health.py",
        "tests/api_stub/events/test_erasure.py",
    ),
    "api_stub/http/negotiation.py": ("tests/api_stub/http/test_negotiation.py",),
    "api_stub/http/server.py": (
        "tests/api_stub/http/test_server.py",
        "tests/api_stub/http/test_malicious_requests.py",
    ),
    "api_stub/ops/bulk_resync.py": ("tests/api_stub/ops/test_bulk_resync.py", *_FORMS),
    "api_stub/ops/context.py": ("tests/api_stub/ops/test_database_errors.py", *_OPS, *_FORMS),
    "api_stub/ops/filters.py": ("tests/api_stub/ops/test_filters.py", *_OPS),
    "api_stub/ops/forms.py": _FORMS,
    "api_stub/ops/queries.py": _OPS,
    "api_stub/ops/rendering.py": ("tests/api_stub/ops/test_rendering.py", *_OPS),
    "api_stub/ops/routes.py": (
        "tests/api_stub/ops/test_database_errors.py",
        "tests/api_stub/ops/test_authentication.py",
        *_OPS,
        *_FORMS,
    ),
    "api_stub/ops/sorting.py": (*_OPS, "tests/api_stub/ops/views/test_list_cost.py"),
    "api_stub/posts/endpoint.py": POSTS,
    "api_stub/posts/history.py": ("tests/api_stub/posts/test_history.py",),
    "api_stub/posts/promises.py": ("tests/api_stub/posts/test_promises.py",),
    "api_stub/posts/read_counter.py": (
        "tests/api_stub/posts/test_read_counter.py",
        "tests/api_stub/posts/test_promises.py",
        "tests/api_stub/test_lock_order.py",
    ),
    "api_stub/posts/representation.py": POSTS,
    "api_stub/replica/lag.py": _REPLICA,
    "api_stub/replica/monitor.py": _REPLICA,
    "api_stub/replica/read_your_writes.py": _REPLICA,
    "api_stub/replica/reads.py": _REPLICA,
    "api_stub/signals/status_page.py": SIGNALS,
    "api_stub/tasks.py": ("tests/api_stub/test_tasks.py",),
}
