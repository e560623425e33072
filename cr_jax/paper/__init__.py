"""The parameter figures of arXiv 2011.05302 and what they count."""
