"""Erasure of an account, a workspace or a post: everything that the fleet stores of it, with a proof.

A request destroys the tokens and ends the polling in its first transaction (`requests`). Any process with the
role then runs the rest in short transactions, one after another (`run`): each locks the request, does one
step of its phase and stores how far it came, so a process may be killed anywhere and another one resumes.

    requested -> ended_polling -> collected -> rows -> names -> redis -> scan -> ended

`schema` derives from the database which tables hold rows of a subject; `ledger` keeps what was erased outside
the database, so that `replay` erases it again after a backup was restored.
"""
