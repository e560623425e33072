"""A process that measures one thing and ends: ``python -m cr_jax.measure.worker REQUEST.json``.

Kinds of request: ``memory`` (peak of one step) and ``bench`` (a cell of a sweep). Progress goes, one JSON object a line, to the
original standard output; a bench's document goes to the file that the request names.
"""

import json
import os
import sys
import threading
import time
from typing import Any, NoReturn, TextIO

from cr_jax.json_text import read_json
from cr_jax.printable import named


def main(arguments: list[str]) -> int:
    """Serve one request and return the exit code."""
    pipe = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the output of plugins does not mix with the progress
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    return answer(arguments, pipe)


def answer(arguments: list[str], pipe: TextIO) -> int:
    """0 when the request was answered, 2 with one line on standard error when it was not."""
    try:
        (file,) = arguments
        request = read_json(file)
        {"memory": _memory, "bench": _bench}[request["kind"]](request, pipe)
    except Exception as error:  # of any kind: not a request, or a case that cannot be measured
        print(named(error, 400), file=sys.stderr)
        return 2
    return 0


def _memory(request: dict[str, Any], pipe: TextIO) -> None:
    from cr_jax.measure import device, memory
    from cr_jax.measure.cases import prepare_case, read_case
    from cr_jax.measure.function_case import PreparedFunctions

    prepared = prepare_case(read_case(request["case"]))
    step = next(s for s in prepared.steps if s.name == request["step"])
    place = device.attached(prepared.case.device).device
    compiled = prepared.compile(step, place, time.perf_counter)
    values = prepared.value(step) if isinstance(prepared, PreparedFunctions) else None
    _say(pipe, event="memory", peak_bytes=memory.resident_growth(compiled, values=values))


def _bench(request: dict[str, Any], pipe: TextIO) -> None:
    from cr_jax.measure.bench import Options, bench
    from cr_jax.measure.cases import read_case
    from cr_jax.measure.clock import Plan
    from cr_jax.report.document import write

    options = Options(**request["options"], say=lambda stage, doing: _say(pipe, event=stage, **doing._asdict()))
    document = bench(read_case(request["case"]), Plan(**request["plan"]), options)
    write(document, request["result"])


def _say(pipe: TextIO, **event: Any) -> None:
    pipe.write(json.dumps(event) + "\n")
    pipe.flush()


def _leave_with_parent() -> NoReturn:
    while os.read(0, 4096):
        pass
    os._exit(3)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
