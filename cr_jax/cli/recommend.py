"""``crjax recommend``: a trained model in conversation."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cr_jax.cli.profile import settings

if TYPE_CHECKING:
    from cr_jax.data.conversation import Problems
    from cr_jax.data.voice import Talk
    from cr_jax.train.recommend import Recommender


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("recommend")(recommend)


def recommend(
    checkpoint: Annotated[Path, typer.Argument(help="A folder that `crjax train` wrote to.")],
    conversations: Annotated[Path | None, typer.Option(help="Answer these conversations (file or folder), not a user.")] = None,
    out: Annotated[str, typer.Option(help="With --conversations: the file of JSON lines, one a turn; - is stdout.")] = "-",
    top: Annotated[int, typer.Option(help="Items listed.")] = 5,
    user: Annotated[str, typer.Option(help="Who speaks: a user of the training data. Default: one it does not know.")] = "",
    model: Annotated[str | None, typer.Option(help="Refuse a checkpoint of another model; package.module:SPEC.")] = None,
    dataset: Annotated[Path | None, typer.Option(help="Refuse a checkpoint of another data set than this.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE: refuse a checkpoint of another value.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse the first faulty line instead of skipping it.")] = False,
) -> None:
    """Hold a conversation with a trained model, or answer a file of them.

    Every program is compiled before the first question; latencies do not hold compilation.
    """
    from cr_jax.train.recommend import Recommender

    found = Recommender(checkpoint, top, model=model, dataset=dataset, settings=settings(set_ or []))
    kept = found.catalogue
    _say(f"{found.spec.title} on {kept.dataset}: {len(kept.items):,} items, {len(kept.words):,} words; "
         f"{found.steps:,} steps, seed {kept.seed}; loaded in {found.loaded_s:.2f} s")  # fmt: skip
    if not found.finished:
        _say("this training has not finished; the weights are those of its newest checkpoint")
    if user and not found.voice.uses_user:
        _say(f"{found.spec.name} does not look at who speaks: --user changes nothing")
    elif user and user not in kept.talks:
        _say(f"user {user!r} is not in the training data: taken as one it does not know")
    if conversations is None:
        from cr_jax.cli.talk import Terminal

        _prepared(found, None)
        Terminal(found, user).run()
        return
    problems = _problems(conversations, strict)
    talks = _read(found, conversations, problems)
    _prepared(found, [talk for _, talk in talks])
    lines = _answered(found, talks)
    if out == "-":
        for line in lines:
            sys.stdout.write(line)
    else:
        from cr_jax.resources import write_atomically

        write_atomically(out, lines)
    for line in problems.lines():
        _say(line)


def _prepared(found: "Recommender", talks: "list[Talk] | None") -> None:
    programs, seconds = found.prepare(talks)
    side = "" if found.voice.items is None else " and the item side computed"
    _say(f"{programs} programs compiled{side} in {seconds:.2f} s, before the first turn")


def _problems(path: Path, strict: bool) -> "Problems":
    from cr_jax.data.conversation import Problems

    return Problems(str(path), strict)


def _read(found: "Recommender", path: Path, problems: "Problems") -> "list[tuple[str, Talk]]":
    """The conversations with their names: dialogues for a model trained on such."""
    from cr_jax.data import aspect_value, hem, redial

    if found.catalogue.dialogues:
        files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        return [(one.key, one) for file in files for one in redial.dialogues(file, problems)]
    talks = hem.conversations(hem.open_directory(path, problems), problems) if path.is_dir() else (
        aspect_value.conversations(path, problems))  # fmt: skip
    return [(f"{one.user}@{one.item}", one) for one in talks]


def _answered(found: "Recommender", talks: "list[tuple[str, Talk]]") -> Iterator[str]:
    from cr_jax.data.conversation import Conversation
    from cr_jax.data.voice import turn_count

    unknown: dict[str, None] = {}
    latencies: list[float] = []
    for name, talk in talks:
        state = found.start()
        for t in range(turn_count(talk)):
            state, answer = found.turn(state, talk, t)
            latencies.append(answer.latency_s)
            line: dict[str, Any] = {"conversation": name, "t": t, **_said(talk, t)}
            line["unknown"] = [word for word in _words(talk, t, found.voice.aspect_is_word) if not found.voice.knows(word)]
            unknown |= dict.fromkeys(line["unknown"])
            line["items"] = [{"item": item, "score": score} for item, score in answer.items]
            line["rank"] = None
            if isinstance(talk, Conversation):
                listed = [item for item, _ in answer.items]
                line["rank"] = listed.index(talk.item) + 1 if talk.item in listed else None
            asked = {turn.aspect for turn in talk.turns[:t]} if isinstance(talk, Conversation) else set()
            best = next((q for q in answer.questions or () if q[0] not in asked), None)
            line["next_question"] = None if best is None else {"aspect": best[0], "score": best[1]}
            line |= {"mode": answer.mode, "latency_s": answer.latency_s}
            yield json.dumps(line, ensure_ascii=False) + "\n"
    _say(f"{len(talks):,} conversations, {latency_line(latencies)}")
    if unknown:
        shown = ", ".join(map(repr, list(unknown)[:8])) + (", ..." if len(unknown) > 8 else "")
        _say(f"{len(unknown):,} words that training did not know: {shown}")


def _said(talk: "Talk", t: int) -> dict[str, str | None]:
    """What the system asked and the user answered at turn t."""
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


def latency_line(latencies: list[float]) -> str:
    """Turns and their latency: ``40 turns, 0.41 ms a turn (median; 95% within 0.6 ms, first 0.9 ms)``."""
    if not latencies:
        return "no turns"
    ordered = sorted(latencies)
    middle, late = ordered[len(ordered) // 2], ordered[max(0, -(-len(ordered) * 95 // 100) - 1)]
    return (f"{len(ordered):,} turns, {1e3 * middle:.2f} ms a turn (median; 95% within {1e3 * late:.2f} ms, the first "
            f"{1e3 * latencies[0]:.2f} ms)")  # fmt: skip


def _say(text: str) -> None:
    print(text, file=sys.stderr)
