"""Write ``schemas/*.schema.json`` from the structs in ``cr_jax/documents``.

    python tools/write_schemas.py [--check]

With ``--check`` nothing is written; the exit code is 1 where a file differs from its struct.
"""

import argparse
import sys
from pathlib import Path

from cr_jax.documents.schemas import document_types, schema_text

SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"


def main(arguments: list[str] | None = None, folder: Path = SCHEMAS) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only compare")
    check = parser.parse_args(arguments).check
    stale = []
    for kind, forms in document_types().items():
        file, text = folder / f"{kind}.schema.json", schema_text(*forms)
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            continue
        stale.append(file.name)
        if not check:
            file.write_text(text, encoding="utf-8")
    for name in stale:
        print(f"{name}: {'differs from its struct; run python tools/write_schemas.py' if check else 'written'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
