"""Mutation testing of the modules that decide: every single change of a condition must make a test fail.

``python -m tests.mutants`` makes one change at a time in private copies of the tree and runs the tests of the
changed module. mutmut 3 changes only the bodies of functions, so no SQL in a module's constants; cosmic-ray
has one test command for all modules and does not change Lua. Both leave out half of the decisions, which are
in SQL.
"""
