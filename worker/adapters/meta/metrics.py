"""The metrics that we request from Meta, by their names at the Graph API, which are our public keys too.

https://developers.facebook.com/docs/instagram-platform/reference/instagram-media/insights
https://developers.facebook.com/docs/graph-api/reference/insights
"""

from typing import Final

INSTAGRAM: Final = ("views", "reach", "likes", "comments", "shares", "saved", "total_interactions")
FACEBOOK: Final = ("post_clicks", "post_reactions_by_type_total")
FACEBOOK_REMOVED: Final = "post_engaged_users"
"""Removed by Meta from every version."""
