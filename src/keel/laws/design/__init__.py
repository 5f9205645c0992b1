"""What to run: the best size at a budget, and the run that teaches most per FLOP."""
