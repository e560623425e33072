"""The builders of documents: cost report, comparison, difference, gate, bench, estimate."""
