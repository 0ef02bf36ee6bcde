"""The check of one connected account: whether its newest post can be read now, and what prevents it.

`dravo accounts check` runs it as a process of its own. It stores no reading and renews no token.
"""
