"""Conversations with a trained model: the recommender, the terminal, latencies."""
