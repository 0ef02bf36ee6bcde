"""Mutation testing of the deciding modules: each single change of a guard must turn a test red.

``python -m tests.mutants`` makes the changes one at a time in private copies of the tree and runs the tests
that belong to the module. mutmut 3 changes the bodies of functions alone, so no statement in a constant of a
module, and cosmic-ray knows one test command for all modules and no Lua: both leave out half of what decides
here, which is SQL.
"""
