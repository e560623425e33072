"""AutoRec's examples: users' ratings, the part of them that is input, and the errors of predicted ratings."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from cr_jax.data.dialogue import Dialogue
from cr_jax.data.examples.pool import Arrays, Pool, Shape
from cr_jax.data.examples.ragged import columns

#: (ratings of each user [B], generator) -> of all these ratings, user after user, which are input.
Noise = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def noise_inputs(numbers: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The ratings that the public "random noise" keeps as input: bool [sum of ``numbers``], user after user.

    numbers [B]: known ratings of each user. Of a user's k ratings a random number is kept (1 to k−1, or
    the only one), chosen without replacement; the others are input as 0, unknown. Drawn on the host.
    """
    user = np.repeat(np.arange(len(numbers)), numbers)
    drawn = rng.random(len(numbers) + len(user))
    number = 1 + (drawn[: len(numbers)] * np.maximum(1, numbers - 1)).astype(np.int64)
    # Each user's ratings in a random order: the first of them are kept.
    order = (user + drawn[len(numbers) :]).argsort()
    is_input = np.empty(len(user), bool)
    is_input[order] = np.arange(len(user)) < (np.cumsum(numbers) - numbers + number).take(user)
    return is_input


def ratings_by_user(dialogues: Sequence[Dialogue], items: Mapping[str, int], merged: bool) -> dict[str, dict[int, float]]:
    """Each user's ratings: of all their dialogues if ``merged``, else each dialogue counts as a user.

    The recommender sees the items of one dialogue only, so a ReDial dialogue is a user. The last of several
    ratings of one item counts.
    """
    rated: dict[str, dict[int, float]] = {}
    for dialogue in dialogues:
        for item, value in dialogue.ratings.items():
            rated.setdefault(dialogue.user if merged else dialogue.key, {})[items[item]] = value
    return rated


def ratings_pool(rated: Sequence[dict[int, float]], items: int, noise: Noise = noise_inputs) -> Pool:
    """Rows of ratings, −1 where there is none; ``noise`` chooses the part that is input."""
    (known,) = columns(([list(row)] for row in rated), (list,))
    values = np.array([value for row in rated for value in row.values()], np.float32)

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del shape
        mine = known.take(chosen)
        row, place = mine.places()
        cell, value, is_input = row * items + mine.ids.take(place), values.take(place), noise(mine.length, rng)
        inputs, targets = np.zeros((len(chosen), items), np.float32), np.full((len(chosen), items), -1, np.float32)
        inputs.reshape(-1)[cell[is_input]] = value[is_input]
        targets.reshape(-1)[cell] = value
        return {"ratings": inputs, "targets": targets}

    return Pool([() for _ in rated], make, known.length, lambda shape: items, np.zeros(len(rated)))


def held_out_pool(rated: Sequence[dict[int, float]], items: int, seed: int) -> Pool:
    """Half of the ratings of a user as input, the other half as targets; users of one rating are left out."""
    split = []
    for number, row in enumerate(one for one in rated if len(one) > 1):
        order = np.random.default_rng([seed, number]).permutation(list(row))
        split.append((row, order[: len(order) // 2], order[len(order) // 2 :]))

    def make(chosen: np.ndarray, shape: Shape, rng: np.random.Generator) -> Arrays:
        del shape, rng
        inputs, targets = np.zeros((len(chosen), items), np.float32), np.full((len(chosen), items), -1, np.float32)
        for i, user in enumerate(chosen):
            row, given, asked = split[user]
            inputs[i, given], targets[i, asked] = [row[k] for k in given], [row[k] for k in asked]
        return {"ratings": inputs, "targets": targets}

    return Pool([() for _ in split], make, np.zeros(len(split)), lambda shape: items, np.zeros(len(split)))


def errors(outputs: Mapping[str, np.ndarray], sums: np.ndarray, counts: np.ndarray) -> dict[str, float]:
    """Root mean squared error over held-out ratings: of AutoRec, of each item's training mean, of the overall mean.

    sums, counts: of each item's training ratings. An item without any has the overall mean. The ``known.``
    figures leave such items out, since training says nothing about them to AutoRec either.
    """
    overall = sums.sum() / counts.sum()
    means = np.where(counts > 0, sums / np.maximum(counts, 1), overall)
    asked = outputs["targets"] != -1
    figures: dict[str, float] = {}
    for name, rows in (("", asked), ("known.", asked & (counts > 0)[None])):
        truth = outputs["targets"][rows].astype(np.float64)
        guesses = {
            "rmse": outputs["predictions"][rows],
            "item_mean_rmse": np.broadcast_to(means, rows.shape)[rows],
            "mean_rmse": np.full(truth.shape, overall),
        }
        if truth.size:
            figures |= {name + key: float(np.sqrt(np.mean(np.square(guess - truth)))) for key, guess in guesses.items()}
        figures[f"{name}ratings"] = float(truth.size)
    return figures
