"""The stages from a request to a cost report; run estimates; the largest batch that fits."""
