"""Programs in the style of other people's code, with the FLOPs of their matrix products by hand: the counter's battery."""
