"""What is broken, one file a kind of fault."""
