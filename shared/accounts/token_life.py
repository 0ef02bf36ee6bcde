"""How early access tokens are renewed: by the worker before use, and by a tick for unused ones."""

from datetime import timedelta

from shared.vocabulary import Platform

RENEW_AHEAD = {
    # Instagram renews only a valid token, and LinkedIn's is valid for 60 days: renew early.
    Platform.INSTAGRAM: timedelta(days=15),
    Platform.LINKEDIN: timedelta(days=7),
    # Tokens are valid for two hours and refresh tokens are single-use: renew late.
    Platform.X: timedelta(minutes=3),
    Platform.TIKTOK: timedelta(minutes=3),
}
"""How long before its expiry an access token is renewed; Facebook's page tokens have no renewal."""

OLD_ENOUGH = timedelta(hours=24)
"""The age below which Instagram renews no token."""

RENEWED_AT_REST = (Platform.INSTAGRAM, Platform.LINKEDIN)
"""Platforms whose tokens a tick renews, because an expired one is lost; others are renewed before use."""
