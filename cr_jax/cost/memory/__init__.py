"""Memory that a compiled program holds."""
