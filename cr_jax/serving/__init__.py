"""A trained model in conversation: the recommender, the terminal, latencies."""
