"""Parameters of the layers that several published implementations use, from their sizes alone."""


def dense(inputs: int, outputs: int) -> int:
    """Weights and biases of a fully connected layer: inputs x outputs, and one bias per output."""
    return inputs * outputs + outputs


def tf_gru(inputs: int, hidden: int) -> int:
    """TensorFlow's ``GRUCell``: three gates on [input, state], one bias each."""
    return 3 * dense(inputs + hidden, hidden)
