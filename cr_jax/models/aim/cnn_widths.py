"""Widths of the text CNN (VALID convolutions) as they follow from the number of words."""

STRIDE = 2


def widths(length: int, kernel: int) -> tuple[int, int]:
    """Positions after the first and after the second convolution; below 1 means impossible."""
    first = (length - kernel) // STRIDE + 1
    return first, (first - kernel) // STRIDE + 1


def misfit(words: int, kernel: int) -> str | None:
    """The reason why texts of at most ``words`` words do not fit the CNN, with legal numbers; ``None`` if they fit.

    A source is padded with kernel - 1 zeros on both sides. A synthetic text is one step longer and
    must have the same width, or the full-width convolution would leave two positions.
    """
    if _fits(words, kernel):
        return None
    length = words + 2 * (kernel - 1)
    first, second = widths(length, kernel)
    problem = (
        f"the second convolution needs {kernel} positions, the first leaves {first}"
        if second < 1
        else f"a source comes to {second} positions after two convolutions, a synthetic text to {second + 1}"
    )
    fits = [n for n in range(1, words + 4 * kernel + 8) if _fits(n, kernel)]
    near = sorted(sorted(fits, key=lambda n: abs(n - words))[:3])
    return f"{problem}; legal: such as {', '.join(map(str, near))}"


def _fits(words: int, kernel: int) -> bool:
    length = words + 2 * (kernel - 1)
    second = widths(length, kernel)[1]
    return second >= 1 and widths(length + 1, kernel)[1] == second
