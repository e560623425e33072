"""``crjax recommend``: a trained model in conversation."""

import itertools
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cr_jax.cli.options import add_command, importable, settings
from cr_jax.cli.paths import check_file
from cr_jax.printable import visible
from cr_jax.serving.latencies import Latencies

if TYPE_CHECKING:
    from cr_jax.data.conversation import Problems
    from cr_jax.data.examples.turn_encoder import Talk
    from cr_jax.serving.recommender import Answer, Recommender

#: Batches of conversations that are sorted by their turns, so that the conversations of a batch end together.
ALIKE = 32
#: The most unknown words that are printed.
SHOWN = 8


def register(app: typer.Typer) -> None:
    """Add the command."""
    add_command(app, "recommend", recommend)


@dataclass(frozen=True, kw_only=True)
class RecommendOptions:
    """The options of ``crjax recommend``."""

    checkpoint: Annotated[Path, typer.Argument(help="A folder that `crjax train` wrote to.")]
    conversations: Annotated[Path | None, typer.Option(help="Answer these conversations (file or folder), not a user.")] = None
    out: Annotated[str, typer.Option(help="With --conversations: the file of JSON lines, one a turn; - is stdout.")] = "-"
    top: Annotated[int, typer.Option(help="Items listed.")] = 5
    batch: Annotated[int, typer.Option(help="With --conversations: number answered together; each waits for all of them.")] = 1
    user: Annotated[str, typer.Option(help="The user who speaks, by name in the training data. Default: an unknown one.")] = ""
    model: Annotated[
        str | None,
        typer.Option(
            help="Refuse a checkpoint of another model; package.module:SPEC imports and runs that module's code.",
            callback=importable,
        ),
    ] = None
    dataset: Annotated[Path | None, typer.Option(help="Refuse a checkpoint of another data set.")] = None
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE of the configuration: refuse a checkpoint with another value.")
    ] = None
    strict: Annotated[bool, typer.Option("--strict", help="Refuse the first faulty line instead of skipping it.")] = False


def recommend(options: RecommendOptions) -> None:
    """Hold a conversation with a trained model, or answer a file of them.

    Every program is compiled before the first question; latencies exclude compilation.
    """
    from cr_jax.serving.recommender import Recommender

    check_file("--out", options.out)
    chosen = settings(options.set_)
    recommender = Recommender(options.checkpoint, options.top, model=options.model, dataset=options.dataset, settings=chosen)
    _introduce(recommender, options.user)
    if options.conversations is None:
        from cr_jax.serving.terminal import Terminal

        _prepared(recommender, None)
        Terminal(recommender, options.user).run()
    else:
        _answer_file(recommender, options.conversations, options)


def _introduce(recommender: "Recommender", user: str) -> None:
    """Print the training behind the answers, and whether it includes the user."""
    assets = recommender.assets
    _say(
        f"{recommender.spec.title} on {assets.dataset}: {len(assets.items):,} items, {len(assets.words):,} words; "
        f"{recommender.steps:,} steps, seed {assets.seed}; loaded in {recommender.loaded_s:.2f} s"
    )
    if not recommender.finished:
        _say("this training has not finished; the weights are those of its newest checkpoint")
    if user and not recommender.encoder.uses_user:
        _say(f"{recommender.spec.name} does not look at who speaks: --user changes nothing")
    elif user and user not in assets.talks:
        _say(f"user {user!r} is not in the training data: taken as one it does not know")


def _answer_file(recommender: "Recommender", path: Path, options: RecommendOptions) -> None:
    """A line of JSON for each turn of the conversations in a file or folder."""
    from cr_jax.models.spec import positive

    positive(batch=options.batch)
    # Read twice: what is compiled depends on the longest of all, which need not fit in memory.
    _prepared(recommender, (talk for _, talk in _read(recommender, path, _problems(path, options.strict))), options.batch)
    problems = _problems(path, options.strict)
    lines = _answered(recommender, _read(recommender, path, problems))
    if options.out == "-":
        for line in lines:
            sys.stdout.write(line)
    else:
        from cr_jax.resources import write_atomically

        write_atomically(options.out, lines)
    for line in problems.lines():
        _say(line)


def _prepared(recommender: "Recommender", talks: "Iterable[Talk] | None", users: int = 1) -> None:
    programs, seconds = recommender.prepare(talks, users)
    side = "" if recommender.encoder.items is None else " and the item side computed"
    _say(f"{programs} programs compiled{side} in {seconds:.2f} s, before the first turn")


def _problems(path: Path, strict: bool) -> "Problems":
    from cr_jax.data.conversation import Problems

    return Problems(str(path), strict)


def _read(recommender: "Recommender", path: Path, problems: "Problems") -> "Iterator[tuple[str, Talk]]":
    """The conversations with their names, one by one: dialogues for a model trained on such."""
    from cr_jax.data.formats.recognise import files_of, format_of
    from cr_jax.errors import BadInput

    form = format_of(path)
    if recommender.assets.dialogues and form.dialogues is not None:
        yield from ((one.key, one) for file in files_of(path) for one in form.dialogues(file, problems, None))
    elif not recommender.assets.dialogues and form.open is not None:
        yield from ((f"{one.user}@{one.item}", one) for one in form.open(path, problems).everything())
    else:
        legal = "free dialogues" if recommender.assets.dialogues else "conversations of aspects and values"
        raise BadInput(str(path), f"{form.name}, which this model was not trained on; legal: {legal}")


def _answered(recommender: "Recommender", talks: "Iterable[tuple[str, Talk]]") -> Iterator[str]:
    """A line for each turn, in the order of the conversations."""
    from cr_jax.data.examples.turn_encoder import turn_count
    from cr_jax.data.hash_set import HashSet

    unknown, first, latencies, number, begin = HashSet(), [], Latencies(), 0, time.perf_counter()
    coming = iter(talks)
    while here := list(itertools.islice(coming, recommender.users * (1 if recommender.users == 1 else ALIKE))):
        number += len(here)
        lines: list[list[str]] = [[] for _ in here]
        order = sorted(range(len(here)), key=lambda place: -turn_count(here[place][1]))
        for at in range(0, len(order), recommender.users):
            places = order[at : at + recommender.users]
            state, t = recommender.start(), 0
            while places := [place for place in places if t < turn_count(here[place][1])]:
                state, answers = recommender.turns(state, [here[place][1] for place in places], t)
                for place, answer in zip(places, answers, strict=True):
                    latencies.add(answer.latency_s)
                    line = _line(recommender, *here[place], t, answer)
                    first += [word for word in line["unknown"] if unknown.add(hash(word)) and len(unknown) <= SHOWN]
                    lines[place].append(json.dumps(line, ensure_ascii=False) + "\n")
                t += 1
        yield from itertools.chain.from_iterable(lines)
    spent = time.perf_counter() - begin
    many = f", {recommender.users} at once" if recommender.users > 1 else ""
    _say(f"{number:,} conversations, {latencies.line()}{many}; {latencies.number / spent:,.0f} turns/s from file to file")
    if len(unknown):
        shown = ", ".join(map(repr, first)) + (", ..." if len(unknown) > SHOWN else "")
        _say(f"{len(unknown):,} words that training did not know: {shown}")


def _line(recommender: "Recommender", name: str, talk: "Talk", t: int, answer: "Answer") -> dict[str, Any]:
    from cr_jax.data.conversation import Conversation

    line: dict[str, Any] = {"conversation": name, "t": t, **_said(talk, t)}
    line["unknown"] = [
        word for word in _words(talk, t, recommender.encoder.aspect_is_word) if not recommender.encoder.knows(word)
    ]
    line["items"] = [{"item": item, "score": score} for item, score in answer.items]
    line["rank"] = None
    if isinstance(talk, Conversation):
        listed = [item for item, _ in answer.items]
        line["rank"] = listed.index(talk.item) + 1 if talk.item in listed else None
    asked = {turn.aspect for turn in talk.turns[:t]} if isinstance(talk, Conversation) else set()
    best = next((q for q in answer.questions or () if q[0] not in asked), None)
    line["next_question"] = None if best is None else {"aspect": best[0], "score": best[1]}
    return line | {"mode": answer.mode, "latency_s": answer.latency_s}


def _said(talk: "Talk", t: int) -> dict[str, str | None]:
    """The system's question and the user's answer at turn t."""
    from cr_jax.data.conversation import Conversation
    from cr_jax.data.dialogue import USER, turns_of

    if isinstance(talk, Conversation):
        turn = talk.turns[t - 1] if t else None
        return {"question": turn.aspect if turn else None, "answer": turn.value if turn else talk.request}
    spoken = talk.utterances[turns_of(talk)[t]]
    texts = {one.sender == USER: " ".join(one.words) for one in spoken}
    return {"question": texts.get(False), "answer": texts[True]}


def _words(talk: "Talk", t: int, aspect_is_word: bool) -> list[str]:
    said = _said(talk, t)
    question, answer = ((text or "").lower() for text in (said["question"], said["answer"]))
    return [*([question] if aspect_is_word and question else question.split()), *answer.split()]


def _say(text: str) -> None:
    print(visible(text), file=sys.stderr)
