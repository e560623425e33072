"""``crjax`` in this process, killed at one of its own file-system calls below a folder.

    python dies.py FOLDER CALLS ARGUMENT ...

A file is opened to write, a folder is made, a thing is renamed or removed: before the call of number
CALLS (from 0) the process gets SIGKILL. CALLS may also be "save N": before checkpoint N of this process
gets its name; or "-": never. The calls that were made are appended to FOLDER.calls, a line each.
"""

import os
import signal
import sys

MADE = {"os.mkdir": 0, "os.rename": 1, "os.remove": 0, "os.rmdir": 0, "open": 0}


def main() -> None:
    folder, at = os.path.realpath(sys.argv[1]), sys.argv[2]
    written = os.open(folder + ".calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    count = saves = 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal count, saves
        if event not in MADE or not isinstance(arguments[MADE[event]], (str, bytes, os.PathLike)):
            return
        path = os.fsdecode(arguments[MADE[event]])
        if not path.startswith(folder + "/") and path != folder:
            return
        if event == "open" and not (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        named = event == "os.rename" and os.path.basename(path).isdigit()
        if at == str(count) or (named and at == f"save {saves}"):
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(written, f"{event} {path[len(folder) :]}\n".encode())
        count, saves = count + 1, saves + named

    sys.addaudithook(watch)
    sys.argv = ["crjax", *sys.argv[3:]]
    from cr_jax.cli.main import main as crjax

    crjax()


if __name__ == "__main__":
    main()
