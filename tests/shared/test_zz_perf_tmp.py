import cProfile, pstats, time
from sqlalchemy import text
from shared.database import connect
from shared.intake import take_accounts, take_publications
from shared.vault import Vault, new_key
from pydantic import SecretStr
def test_perf(database_url):
    e = connect(database_url, application="t")
    v = Vault([SecretStr(new_key())])
    A = [dict(account_id=f"acc_{i}", workspace_id=f"ws_{i%7}", platform="x", platform_account_id=str(i), access_token=f"tok{i}") for i in range(1000)]
    with e.begin() as c: take_accounts(c, v, A)
    P = [dict(post_id=f"post_{i}", account_id=f"acc_{i%1000}", platform_post_id=str(10**18+i), text="hello", created_at="2026-06-23T10:15:30Z", published_at=None, media_type="IMAGE", platform_post_url="https://x.com/i/1") for i in range(20000)]
    for _ in range(2):
        pr=cProfile.Profile(); pr.enable()
        t=time.perf_counter(); tc=time.process_time()
        for k in range(0,20000,1000):
            with e.begin() as c: r=take_publications(c, P[k:k+1000])
        print("wall", time.perf_counter()-t, "cpu", time.process_time()-tc)
        pr.disable(); pstats.Stats(pr).sort_stats("tottime").print_stats(14)
    e.dispose()
