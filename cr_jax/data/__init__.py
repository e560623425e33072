"""Readers of conversations; a module per layout of file."""
