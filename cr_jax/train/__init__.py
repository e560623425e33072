"""Training on real data: the loop, checkpoints, evaluation and the report."""
