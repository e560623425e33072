"""Pure steps with abstract arguments: what is traced, compiled, measured and run."""
