"""Formulas for the time of operations on accelerators: one module per mechanism, its constants as data."""
