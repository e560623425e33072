"""Costs of programs, counted from their HLO text. Imports no JAX."""
