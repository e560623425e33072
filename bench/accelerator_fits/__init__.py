"""Fits of the constants of predicted times, one module per mechanism."""
