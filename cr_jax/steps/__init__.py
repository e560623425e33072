"""Pure steps with abstract arguments, which are traced, compiled, measured and run."""
