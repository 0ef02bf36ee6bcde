"""Archives: everything that is stored of an account or a workspace as JSON Lines, without secrets."""
