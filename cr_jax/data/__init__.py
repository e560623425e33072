"""Conversations and data sets: readers of file formats, the on-disk store, training examples."""
