"""What is explored: the product's operations, their initial rows, and the invariants. No search here."""
