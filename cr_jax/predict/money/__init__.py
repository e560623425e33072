"""Energy and price of a predicted time."""
