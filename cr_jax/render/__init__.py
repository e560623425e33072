"""Reports for people: terminal tables and charts. The only input is the document."""
