"""A worker of the tests: does to each step what its plan says. ``python fake_worker.py PLAN REQUEST``

PLAN: JSON, step name (or ``*``) -> ``good``, ``abort``, ``sleep``, ``half``, ``raise``, ``memory``,
``other`` (a program that was not asked for),
``arguments`` (of another dtype). Every start is noted in ``$FAKE_LOG``.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

HLO = "HloModule fake\n\nENTRY e {\n  ROOT p = f32[4]{0} parameter(0)\n}\n"


def say(**event):
    print(json.dumps(event), flush=True)


def leave():
    while os.read(0, 4096):
        pass
    os._exit(3)


def main():
    threading.Thread(target=leave, daemon=True).start()
    plan, request = json.loads(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
    print("not a progress line", flush=True)
    for name in request["steps"]:
        with open(os.environ["FAKE_LOG"], "a") as log:
            log.write(f"{request['target']['platform']} {name} {os.getpid()}\n")
        say(event="start", step=name)
        what = plan.get(name, plan.get("*", "good"))
        if what == "abort":
            print("I1123 10:00:00.000000 12 a.cc:1] all is well", file=sys.stderr)
            print("F1123 10:00:00.000001 12 b.cc:2] Check failed: a == b", file=sys.stderr)
            print("    @ 0x7f stack", file=sys.stderr, flush=True)
            os.abort()
        if what == "sleep":
            time.sleep(600)
        if what == "memory":
            held = bytearray(os.urandom(1 << 20)) * 300
            time.sleep(600)
            print(len(held))
        if what == "raise":
            say(event="failed", step=name, reason="JaxRuntimeError: no such thing")
            continue
        file = Path(request["results"]) / f"{request['steps'].index(name)}.json"
        program, arguments = json.loads(os.environ["FAKE_TRACED"])[name]
        text = json.dumps(
            {
                "hlo": HLO,
                "memory": dict.fromkeys(
                    (
                        "argument_bytes",
                        "output_bytes",
                        "temp_bytes",
                        "alias_bytes",
                        "generated_code_bytes",
                        "reported_peak_bytes",
                    ),
                    7,
                ),
                "xla_flops": 1.0,
                "xla_transcendentals": None,
                "xla_bytes": 2.0,
                "program_sha256": "another" if what == "other" else program,
                "arguments_sha256": "others" if what == "arguments" else arguments,
                "durations_s": {"compile": 0.5},
            }
        )
        file.write_text(text[: len(text) // 2] if what == "half" else text)
        say(event="done", step=name, file="/etc/hostname")  # no one reads what it points to


main()
