"""Profiles of data sets, accelerators and models: JSON, checked against a schema, as frozen values."""
