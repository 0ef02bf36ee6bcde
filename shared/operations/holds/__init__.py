"""What holds a row, an account, a workspace or a platform back, who set it, until when, and what to do.

`next_run` is the one answer to "when will it really run, and why not now": of ``dravo why``, the operators'
page, ``resync --wait`` and the warning ``refresh_pending``.
"""
