"""The parameter figures of arXiv 2011.05302 and the parameters that each one counts."""
