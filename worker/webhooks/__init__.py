"""``dravo sender``: delivers the delta feed to webhook endpoints, signed and in its order.

The data flows one way: `claims` picks an endpoint whose time has come, `upcoming` and `messages` build what
it gets next, `delivery` posts it, `rules` judge the answer, and `records` writes position, next run and log
behind the fence.
"""
