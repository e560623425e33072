"""HLO text as Python values: instructions, shapes and loop trip counts. Imports no JAX."""
