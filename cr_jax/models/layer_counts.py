"""Parameters of the layers that several published implementations use, from their sizes alone."""


def dense(inputs: int, outputs: int) -> int:
    """Weights and biases of a fully connected layer: inputs x outputs, and one bias per output."""
    return inputs * outputs + outputs


def tf_gru(inputs: int, hidden: int) -> int:
    """TensorFlow's ``GRUCell``: three gates on [input, state], one bias each."""
    return 3 * dense(inputs + hidden, hidden)


def low_rank(inputs: int, outputs: int, rank: int) -> int:
    """A matrix of inputs x outputs as the product of two of this rank."""
    return rank * (inputs + outputs)


def product_quantised(inputs: int, centroids: int) -> int:
    """The shared vectors of a matrix whose columns are put together from them; codes are not trained."""
    return inputs * centroids
