"""Pure functions from a reading or an error to the outcome that is recorded; no network, no database.

The rules are the API's contract: a failure never erases the last good metrics, a limit is no failure and
costs no attempt, and a metric that did not come is never zero.
"""
