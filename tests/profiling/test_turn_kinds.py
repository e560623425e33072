"""Only some turns built: the same programs, and nothing made up for those that are not there."""

from reports import SETTINGS

from cr_jax import profile

WORK = {"turns": 2, "settings": SETTINGS, "preset": "matched", "phases": ("infer",), "users": 3}


def test_the_last_turn_alone_is_the_last_of_all():
    whole, last = (profile("dmn", **WORK, turns_compiled=kind) for kind in ("all", "last"))
    (alone,) = last["steps"]
    same = next(step for step in whole["steps"] if step["name"] == alone["name"])
    assert alone["labels"]["mode"] == "incremental" and alone["labels"]["turns"][-1] == 2
    assert alone["program_sha256"] == same["program_sha256"] and alone["compiled"] == same["compiled"]
    assert alone["memory"] == same["memory"] and last["conversation"] is None
    assert {row["saving_over_replay"] for row in last["turns"]} == {None}


def test_replays_alone_are_the_replays_of_all():
    whole, some = (profile("dmn", **WORK, turns_compiled=kind) for kind in ("all", "replay"))
    programs = {step["name"]: step["program_sha256"] for step in whole["steps"] if "/replay/" in step["name"]}
    assert {step["name"]: step["program_sha256"] for step in some["steps"]} == programs
    assert some["conversation"] is None and whole["conversation"] is not None
