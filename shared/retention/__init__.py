"""Retention: how long each class of data is kept, and the steps that remove what is older.

Nothing is removed until ``DRAVO_RETENTION`` says ``on`` (`policy`). The history goes by whole months: a month
of readings is rolled up into one reading a day (`roll_up`), detached without blocking readers and dropped
(`months`). Small tables, and platforms with shorter limits, are cleaned row by row in batches (`expiry`).
`run` does one step after another; `status` says what there is and what would go.
"""
