"""File formats of conversations and reviews, one module each, and their recognition."""
