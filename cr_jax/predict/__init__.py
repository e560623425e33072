"""Time, energy and price of a counted program on a device. Imports no JAX."""
