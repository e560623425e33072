"""The version of cr_jax."""

__version__ = "0.2.0"
