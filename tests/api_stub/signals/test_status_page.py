"""Meta's requests to delete data, and the page that says how far each is."""

import hashlib
import time

from deploy.simulators import signals
from tests.api_stub.signals.platforms import META, send, state
from tests.api_stub.support import Api


def test_status_page_says_that_an_account_connected_since_was_not_deleted(api: Api) -> None:
    api.rows.execute("UPDATE accounts SET connected_at = now() WHERE account_id = 'acc_facebook'")
    late = signals.meta_callback(
        META, "facebook", "data-deletion", "user_facebook", issued_at=time.time() - 60
    )

    path = send(api, late).json()["url"].partition("://")[2].partition("/")[2]

    assert "was not deleted" in api.run(api.client.get(f"/{path}")).text
    assert api.rows.execute("SELECT FROM erasures") == []


def test_deletion_request_erases_and_its_page_says_how_far_it_is(api: Api) -> None:
    request = signals.meta_callback(META, "facebook", "data-deletion", "user_facebook")

    answer = send(api, request).json()

    assert send(api, request).json() == answer
    (erasure,) = api.rows.execute("SELECT * FROM erasures")
    assert (erasure.source, state(api, "acc_facebook")[1]) == ("facebook", None)
    path = answer["url"].partition("://")[2].partition("/")[2]
    assert answer["confirmation_code"] in path
    assert "being deleted" in api.run(api.client.get(f"/{path}")).text
    api.rows.execute("UPDATE erasures SET ended_at = now()")
    assert "was deleted on" in api.run(api.client.get(f"/{path}")).text
    api.rows.execute("UPDATE signals SET processed_at = NULL")
    assert "is about to be processed" in api.run(api.client.get(f"/{path}")).text
    # issued in another second: the body of one that is issued in the same second is that of the request
    removal = signals.meta_callback(
        META, "facebook", "deauthorize", "user_facebook", issued_at=time.time() - 60
    )
    assert send(api, removal).status_code == 200
    revocation = hashlib.sha256(removal.body).hexdigest()[:32]
    for other in (f"{path[:-32]}{revocation}", path[:-1], path[:-31], f"{path}0", path[:-1] + "%"):
        assert api.run(api.client.get(f"/{other}")).status_code == 404, "whoever guesses learns nothing"


def test_deletion_request_of_an_unknown_user_is_answered(api: Api) -> None:
    answer = send(api, signals.meta_callback(META, "instagram", "data-deletion", "nobody")).json()

    path = answer["url"].partition("://")[2].partition("/")[2]
    assert "nothing is stored" in api.run(api.client.get(f"/{path}")).text
    assert api.run(api.client.get("/platforms/instagram/data-deletion/0123456789abcdef")).status_code == 404
