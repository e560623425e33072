"""Reports for people: terminal tables and plots. Input is the document's JSON, nothing else."""
