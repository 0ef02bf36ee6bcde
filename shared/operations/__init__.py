"""What operators do and ask, for the command line and the operators' page: pause, release, re-sync, explain.

How a command or a page presents it belongs to `deploy` and `api_stub.ops`.
"""
