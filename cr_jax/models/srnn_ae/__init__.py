"""sRNN-AE: model, networks, losses, training examples and the paper's count."""
