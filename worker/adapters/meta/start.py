"""The start of a fetch at Meta: a `Graph` for the account, and the publications with a usable id."""

from collections.abc import Iterable
from dataclasses import dataclass

from shared.settings import Settings
from worker.adapters.contract import Upstream
from worker.adapters.meta.graph import Graph
from worker.adapters.meta.readings import NODE_ID
from worker.readings import Account, Answer, Publication, Reading


@dataclass(frozen=True, slots=True)
class GraphProduct:
    """A product of the Graph API, with one kind of login."""

    platform: str
    """``Facebook`` or ``Instagram``, for sentences."""
    product: str
    """The ``type`` of its entries in X-Business-Use-Case-Usage."""
    scopes: tuple[str, ...]
    """The permissions that reading insights needs, the insights permission first."""
    facebook_login: bool = True
    """Its host is graph.facebook.com; otherwise graph.instagram.com."""


def open_graph(settings: Settings, upstream: Upstream, account: Account, product: GraphProduct) -> Graph:
    """Return the calls of one job to a product's host."""
    return Graph(
        upstream=upstream,
        account=account,
        platform=product.platform,
        host=settings.meta_graph_url if product.facebook_login else settings.instagram_graph_url,
        version=settings.meta_api_version,
        product=product.product,
        scopes=product.scopes,
        facebook_login=product.facebook_login,
        app_secret=settings.meta_app_secret,
        near_limit_percent=settings.meta_steer_percent,
    )


def split_by_id(publications: Iterable[Publication]) -> tuple[list[tuple[Publication, str]], list[Reading]]:
    """Return the publications with a well-formed id, each with that id, and the readings of the others."""
    supported: list[tuple[Publication, str]] = []
    others: list[Reading] = []
    for publication in publications:
        node = publication.platform_post_id
        if node is None:
            others.append(Reading(publication.id, Answer.PROCESSING, detail="Its id is not known yet."))
        elif NODE_ID.fullmatch(node) is None:
            detail = "Its id has not the form of an id at Meta."
            others.append(Reading(publication.id, Answer.MISSING, detail=detail))
        else:
            supported.append((publication, node))
    return supported, others
