"""Training and test examples of models: batches, padding, pools of negatives, columns of dialogues."""
