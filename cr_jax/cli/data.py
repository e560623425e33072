"""``crjax data``: statistics and derivation of conversations."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cr_jax.cli.paths import check_file
from cr_jax.cli.streams import say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Real conversations: sizes, text lengths, profiles.", no_args_is_help=True, rich_markup_mode=None)
    group.command("stats")(stats)
    group.command("derive")(derive)
    app.add_typer(group, name="data")


def stats(
    dataset: Annotated[str, typer.Option(help="A data set profile, or a file or folder of conversations.")],
    reviews: Annotated[Path | None, typer.Option(help="5-core reviews (JSON lines) of the same items.")] = None,
    lexicon: Annotated[Path | None, typer.Option(help="With reviews as the data set: the lexicon that derives them.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse the first faulty line instead of skipping it.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the data set profile (JSON) to this file.")] = None,
) -> None:
    """Print a row of the paper's Table I and the text lengths of a data set."""
    from cr_jax.data.find_dataset import find_dataset, read_dataset
    from cr_jax.data.profile import document_text
    from cr_jax.files import expanded
    from cr_jax.render.catalog import datasets, lengths
    from cr_jax.render.cost import show
    from cr_jax.resources import write_atomically

    check_file("--out", out)
    if reviews is not None or lexicon is not None:
        dataset_profile, problems = read_dataset(expanded(dataset), strict, reviews, lexicon)
    else:
        dataset_profile, problems = find_dataset(dataset, strict)
    show(datasets([dataset_profile]))
    show(lengths(dataset_profile))
    for line in problems.lines():
        say(line)
    if out is not None:
        write_atomically(out, document_text(dataset_profile))


def derive(
    reviews: Annotated[Path, typer.Argument(help="5-core reviews, JSON lines, plain or gzip.")],
    lexicon: Annotated[Path, typer.Argument(help="Aspect-value lexicon: [sign], aspect|value and two counts, TAB between.")],
    out: Annotated[str, typer.Option(help="The file for the conversations; - is stdout.")],
    min_count: Annotated[int, typer.Option(help="Leave out pairs with fewer occurrences in the lexicon.")] = 10,
    keep_stop_words: Annotated[bool, typer.Option("--keep-stop-words", help="Keep values that consist of stop words.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse the first faulty line instead of skipping it.")] = False,
) -> None:
    """Derive conversations from reviews: one line of aspects, values and sentiments per review that has any."""
    from cr_jax.data.conversation import Problems
    from cr_jax.data.formats import derive as rules
    from cr_jax.data.formats.lexicon import read_lexicon
    from cr_jax.errors import BadInput
    from cr_jax.resources import write_atomically

    if min_count < 1:
        raise typer.BadParameter(f"--min-count {min_count}: legal: 1 or more")
    check_file("--out", out)
    problems = Problems(str(reviews), strict)
    pairs = read_lexicon(lexicon, problems, min_count, keep_stop_words)
    made = turns = 0

    def lines() -> Iterator[str]:
        nonlocal made, turns
        for conversation in rules.conversations(reviews, pairs, problems):
            made, turns = made + 1, turns + len(conversation.turns)
            yield rules.line(conversation) + "\n"
        if not made:
            raise BadInput(str(reviews), f"no review mentions one of the {pairs.kept:,} pairs of {lexicon}")

    if out == "-":
        for text in lines():
            sys.stdout.write(text)
    else:
        write_atomically(out, lines())
    left = f"{pairs.rare:,} met fewer than {min_count} times, {pairs.stop_words:,} with a value of stop words alone"
    say(f"lexicon: {pairs.kept:,} of {pairs.pairs:,} pairs; left out: {left}")
    for text in problems.lines():
        say(text)
    place = "" if out == "-" else f" written to {out}"
    say(f"{made:,} conversations, {turns:,} turns{place}")
