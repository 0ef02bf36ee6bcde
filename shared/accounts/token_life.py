"""How early an access token is renewed: before its use by the worker, and by a tick for accounts at rest."""

from datetime import timedelta

from shared.vocabulary import Platform

RENEW_AHEAD = {
    # Instagram renews only while the old token lives, LinkedIn's lives for 60 days: be early.
    Platform.INSTAGRAM: timedelta(days=15),
    Platform.LINKEDIN: timedelta(days=7),
    # Two hours of life and single-use refresh tokens: be lazy.
    Platform.X: timedelta(minutes=3),
    Platform.TIKTOK: timedelta(minutes=3),
}
"""How long before its end an access token is renewed; Facebook's page tokens have no renewal."""

OLD_ENOUGH = timedelta(hours=24)
"""Instagram renews no token that is younger."""

RENEWED_AT_REST = (Platform.INSTAGRAM, Platform.LINKEDIN)
"""Where a token that ends unused is lost or its end would surprise; the others are renewed when next used."""
