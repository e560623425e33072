"""Cells, optimizers and the module base class that several models share."""
