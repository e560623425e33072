"""Rows of public measurements: the content of each kind, the offset of its clock, and the product's own prediction."""
