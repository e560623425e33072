"""AIM and DAIM: model, layers, losses, training examples and the paper's count."""
