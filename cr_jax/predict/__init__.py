"""How long a counted program takes on a device, and what that costs. Imports no JAX."""
