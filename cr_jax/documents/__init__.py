"""Every document that is written or read, as frozen typed structs; ``schemas/`` is generated from them.

Add a field: a line in the struct, with its type and a description; fill it in where the document is built.
Add a document: a file named after its ``kind`` (``hlo_count.py`` for hlo-count) with one subclass of ``base.Document``.
Older files lack the field: give it a default, ``UNSET`` where the text leaves it out, else the value that older files mean.
Fields depend on each other: a ``__post_init__`` that raises ``ValueError``, and ``Meta(extra_json_schema=...)`` for the schema.
Then ``python tools/write_schemas.py``, and commit what it changed; ``--check`` is what CI runs.
"""
