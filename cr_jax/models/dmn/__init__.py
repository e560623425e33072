"""DMN: model, layers, training examples and the paper's count."""
