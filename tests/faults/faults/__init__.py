"""The faults that a round can inject, one file for each part that fails; `judge` judges them."""
