"""What a program costs, counted from its HLO text. Imports no JAX."""
