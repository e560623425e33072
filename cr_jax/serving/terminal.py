"""The conversation in the terminal: question, answer, the list of items; also with answers from a pipe."""

import dataclasses
import difflib
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cr_jax.data.conversation import Conversation, Turn
from cr_jax.data.dialogue import USER, Dialogue, Utterance
from cr_jax.data.formats.redial import words_of_text
from cr_jax.printable import visible
from cr_jax.serving.latencies import Latencies

if TYPE_CHECKING:
    from cr_jax.serving.recommender import Answer, Recommender

STOP, SKIP = ("stop", "quit", "exit"), ("skip", "s")


class Ended(Exception):
    """The user has stopped, or the input has ended."""


class Terminal:
    """One user's conversation with a recommender on stdin and stdout."""

    def __init__(self, recommender: "Recommender", user: str) -> None:
        self.recommender, self.assets, self.user = recommender, recommender.assets, user
        self._latencies = Latencies()
        self._before: list[str] = []
        self._echo = not sys.stdin.isatty()

    def run(self) -> None:
        """Talk until the user stops or the input ends."""
        try:
            if self.assets.dialogues:
                self._dialogue()
            else:
                self._conversation()
        except Ended:
            print()
        if self._latencies.number:
            print(self._latencies.line())

    def _ask(self, question: str) -> str:
        print(f"{visible(question)}\n> ", end="", flush=True)
        line = sys.stdin.readline()
        if self._echo:
            print(line.rstrip("\n"))
        text = " ".join(line.split())
        if not line or text.lower() in STOP:
            raise Ended
        return text

    # Aspects and values.

    def _conversation(self) -> None:
        print("Answer a value of the aspect that is asked for, ASPECT: VALUE for another aspect, skip or stop.")
        request = self._ask("What are you looking for? (a few words, or Enter)")
        request = "" if request.lower() in SKIP else self._known(request)[0]
        talk, state = Conversation(self.user, "", (), request), self.recommender.start()
        refused: set[str] = set()
        t = 0
        while True:
            state, answer = self.recommender.turn(state, talk, t)
            self._show(answer, t)
            if t == 0 and answer.questions is None:
                print("This model scores no questions: the aspects most talked about in training are proposed.")
            turn = self._turn(answer, {turn.aspect for turn in talk.turns} | refused, refused)
            talk = dataclasses.replace(talk, turns=(*talk.turns, turn))
            t += 1

    def _turn(self, answer: "Answer", done: set[str], refused: set[str]) -> Turn:
        """The next turn: the user is asked until the value is one that the model can read."""
        while True:
            scored = answer.questions is not None
            order = [aspect for aspect, _ in answer.questions or ()] if scored else list(self.assets.values)
            aspect = next((one for one in order if one not in done), None)
            if aspect is None:
                text = self._ask("Nothing left to ask; ASPECT: VALUE, or stop.")
            else:
                known = ", ".join(self.assets.values[aspect][:5])
                text = self._ask(f"What should {aspect!r} be?" + (f" ({known}, ...)" if known else ""))
            if not text or text.lower() in SKIP:
                if aspect is not None:
                    refused.add(aspect)
                    done = done | {aspect}
                continue
            named, colon, value = text.partition(":")
            if colon:
                aspect = self._aspect(named.strip())
            if aspect is None:
                if not colon:
                    print("No aspect is being asked for; legal: ASPECT: VALUE")
                continue
            spoken, words = self._known(value if colon else text)
            if words:
                return Turn(aspect, spoken, None)
            print("Nothing of that is known to the model; try another value, or skip.")

    def _aspect(self, name: str) -> str | None:
        lower = {aspect.lower(): aspect for aspect in self.assets.aspects}
        if name.lower() in lower:
            return lower[name.lower()]
        near = difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5) or list(self.assets.values)[:5]
        print(visible(f"Unknown aspect {name!r}; near: {', '.join(near)}"))
        return None

    def _known(self, text: str) -> tuple[str, int]:
        """The text cut to the newest words that are read, and the number of them that the model knows; the others are printed."""
        from cr_jax.serving.recommender import FREE_WORDS

        words = text.split()
        if len(words) > FREE_WORDS:
            print(f"Only the last {FREE_WORDS} of {len(words)} words are read.")
            words = words[-FREE_WORDS:]
        unknown = list(dict.fromkeys(word for word in words if not self.recommender.encoder.knows(word.lower())))
        if unknown:
            print(visible(f"Unknown words, left unread: {', '.join(unknown)}"))
        return " ".join(words), sum(word not in unknown for word in words)

    # Free dialogues.

    def _dialogue(self) -> None:
        print('Say what you like in your own words; name an item as @NUMBER or "TITLE". skip hears nothing, stop ends.')
        talk, state, t = Dialogue("terminal", self.user, (), {}, {}), self.recommender.start(), 0
        while True:
            spoken = self._utterance(self._ask("You"))
            if spoken is None:
                continue
            talk = dataclasses.replace(talk, utterances=(*talk.utterances, spoken))
            state, answer = self.recommender.turn(state, talk, t)
            self._show(answer, t)
            t += 1

    def _utterance(self, text: str) -> Utterance | None:
        if not text or text.lower() in SKIP:
            return None
        titles = {item: self.assets.titles.get(item, f"@{item}") for item in self.assets.items}
        for name in re.findall(r'"([^"]+)"', text):
            item = self._titled(name, titles)
            if item is not None:
                text = text.replace(f'"{name}"', f"@{item}")
        for number in re.findall(r"@(\d+)", text):
            if number not in titles:
                print(f"Unknown item @{number}: read as plain words")
        words, mentions = words_of_text(text, titles)
        known_words = self._known(" ".join(word for word in words if word.isalnum()))[1]
        named = any(mentions)
        if not known_words and not named:
            print("Nothing of that is known to the model; say it otherwise.")
            return None
        return Utterance(USER, words[-78:], mentions[-78:])

    def _titled(self, name: str, titles: dict[str, str]) -> str | None:
        def plain(title: str) -> str:
            return " ".join(re.sub(r"\(\d{4}\)\s*$", "", title.strip()).lower().split())

        items_by_title = {plain(title): item for item, title in titles.items()}
        if plain(name) in items_by_title:
            return items_by_title[plain(name)]
        near: Sequence[str] = difflib.get_close_matches(plain(name), items_by_title, n=3, cutoff=0.6)
        print(visible(f"Unknown title {name!r}: read as plain words" + (f"; near: {', '.join(near)}" if near else "")))
        return None

    def _show(self, answer: "Answer", t: int) -> None:
        self._latencies.add(answer.latency_s)
        past = ", the window read again: longer than the model's tests keep" if answer.mode == "replay" else ""
        print(f"after turn {t} ({1e3 * answer.latency_s:.2f} ms{past}):")
        for place, (item, score) in enumerate(answer.items, 1):
            title = self.assets.titles.get(item)
            new = "" if not self._before or item in self._before else "  new"
            print(visible(f"  {place}. {item}{f' {title}' if title else ''}  {score:.4f}{new}"))
        self._before = [item for item, _ in answer.items]
