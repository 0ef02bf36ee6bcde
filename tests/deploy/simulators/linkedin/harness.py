"""Accounts, posts and requests for the tests of the simulated LinkedIn."""

from typing import Any
from urllib.parse import quote

import httpx

from deploy.simulators.linkedin.linkedin import LinkedIn
from deploy.simulators.linkedin.oauth import CLIENT_ID, CLIENT_SECRET

ORG, OTHER, MEMBER = "5550001", "5550002", "abc-1"
SHARE = "urn:li:share:7390000000000000001"
UGC = "urn:li:ugcPost:7390000000000000002"
QUIET = "urn:li:share:7390000000000000003"
AGED = "urn:li:share:7390000000000000004"
DELETED = "urn:li:share:7390000000000000005"
FOREIGN = "urn:li:share:7390000000000000006"
MINE_SHARE = "urn:li:share:7390000000000000008"
MINE = "urn:li:ugcPost:7390000000000000007"
SCOPES = frozenset({"rw_organization_admin", "r_organization_social"})


def get(
    linkedin: LinkedIn, target: str, by: str | None = "page-token", **headers: str | None
) -> httpx.Response:
    sent = {
        "Authorization": by and f"Bearer {by}",
        "LinkedIn-Version": "202608",
        "X-Restli-Protocol-Version": "2.0.0",
    }
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    given = {name: value for name, value in sent.items() if value is not None}
    url = httpx.URL("https://api.linkedin.com").copy_with(raw_path=target.encode())
    return linkedin.handle(httpx.Request("GET", url, headers=given))


def encoded(urn: str) -> str:
    return quote(urn, safe="")


def listed(*urns: str) -> str:
    return f"List({','.join(map(encoded, urns))})"


FINDER = "/rest/organizationalEntityShareStatistics?q=organizationalEntity&organizationalEntity="


def statistics(
    linkedin: LinkedIn, *urns: str, org: str = ORG, more: str = "", **parameters: Any
) -> httpx.Response:
    shares = [urn for urn in urns if ":share:" in urn]
    posts = [urn for urn in urns if ":ugcPost:" in urn]
    target = FINDER + encoded(f"urn:li:organization:{org}")
    target += f"&shares={listed(*shares)}" if shares else ""
    target += f"&ugcPosts={listed(*posts)}" if posts else ""
    return get(linkedin, target + more, **parameters)


def analytics(
    linkedin: LinkedIn, entity: str, metric: str = "IMPRESSION", **parameters: Any
) -> httpx.Response:
    target = f"/rest/memberCreatorPostAnalytics?q=entity&entity={entity}&queryType={metric}&aggregation=TOTAL"
    return get(linkedin, target, **{"by": "member-token"} | parameters)


def refresh(linkedin: LinkedIn, token: str = "refresh-1", **changes: str) -> httpx.Response:  # noqa: S107 (a simulated token)
    form = {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    url = "https://www.linkedin.com/oauth/v2/accessToken"
    return linkedin.handle(httpx.Request("POST", url, data=form | changes))


def code(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert body["status"] == response.status_code
    return response.status_code, body["code"]
