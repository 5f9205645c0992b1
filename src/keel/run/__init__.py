"""Do it: the loop, processes side by side, checkpoints, seals and scores."""
