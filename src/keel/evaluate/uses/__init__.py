"""What can be known of the user's tasks before any model is asked: evaluators, rows, metrics; no torch."""
