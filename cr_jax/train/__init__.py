"""Training on real data: the loop, checkpoints, tests and the report."""
