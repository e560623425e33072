"""Rows of public measurements: what each kind holds, what its clock adds, and what the product's own code predicts of it."""
