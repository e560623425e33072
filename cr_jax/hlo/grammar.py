"""The lines of HLO text as regular expressions.

Every repetition is possessive (it gives nothing back), so that matching takes time linear in the line,
whatever it holds.
"""

import re

#: Facts of an instruction's metadata.
FACTS = frozenset(
    {
        "op_type",
        "op_name",
        "source_file",
        "source_line",
        "source_end_line",
        "source_column",
        "source_end_column",
        "stack_frame_id",
        "scheduling_name",
        "deduplicated_name",
        "preserve_layout",
        "profile_type",
        "profile_info",
        "creation_pass_id",
        "logical_creation_pass_id",
        "size_of_generated_code_in_bytes",
        "size_of_memory_working_set_in_bytes",
    }
)
_NESTED = 12  # levels of braces; XLA's configurations have six


def _braces(depth: int) -> str:
    """A text in balanced braces; quoted strings are skipped."""
    inner = rf"|{_braces(depth - 1)}" if depth > 1 else ""
    return rf'\{{(?:[^{{}}"]++|{STRING}{inner})*+\}}'


STRING = r'"(?:[^"\\]++|\\.)*+"'
BRACES = _braces(_NESTED)
_FLAT = rf'\{{(?:[^{{}}"]++|{STRING}|\{{[^{{}}"]*+\}})*+\}}'
#: A value without white space: ``bf_io->bf``, ``[4,2]<=[2,4]T(1,0)``, ``%region.3``.
_WORD = r"(?:[^\s,{}()\[\]\"=]++|=(?!=)|\[[^\[\]{}\"]*+\]|\([^(){}\"]*+\))++"
_MESH = r"mesh\[[^\]\n]*+\](?:, device_ids=\((?:[^()\n]++|\([^()\n]*+\))*+\))?+ \{[^{}\n]*+\}"
_ATTRIBUTE = rf", (?!metadata=\{{|backend_config=)[A-Za-z_][\w\-]*+=(?:{_FLAT}|{BRACES}|{_MESH}|{_WORD}|{STRING})"
_FACT = rf"[a-z_]++=(?:{STRING}|-?[\w.]++|{BRACES})"
#: Of 32 bits in XLA; all that is longer is refused or taken there, never here.
_SHORT = ("stack_frame_id", "source_line", "source_end_line", "source_column", "source_end_column")
_NUMBERED = "|".join(sorted(name for name in FACTS - {*_SHORT} if name.endswith(("_id", "_in_bytes"))))
_KNOWN_FACT = (
    rf"(?:(?:{'|'.join(_SHORT)})=\d{{1,9}}+(?!\d)|(?:{_NUMBERED})=-?\d{{1,18}}+(?!\d)|preserve_layout=(?:true|false)|"
    rf"(?:scheduling_name|source_file|op_type|op_name|deduplicated_name)={STRING}|profile_\w++={BRACES})"
)

_HEAD = (
    r"[ \t]++(ROOT )?(%[\w.\-]++|[A-Za-z_][\w.\-]*+) = "
    r"(\((?:[^()\n]++|\([^()\n]*+\))*+\)|[^\s()]++(?:\([^\s()]*+\)[^\s()]*+)*+|\([^\n]*?\)) ([a-z][\w\-]*+)\("
)
_TAIL = (
    rf"((?:{_ATTRIBUTE})*+)(?:, metadata=\{{(?:op_type={STRING}[ ,]*+)?+(?:op_name=\"((?:[^\"\\]++|\\.)*+)\")?+"
    rf"(?:[ ,]*+{_KNOWN_FACT})*+((?:[ ,]*+{_FACT})*+)[ ]*+\}})?+(, backend_config=(?:{BRACES}|{STRING}))?+"
    rf"((?:{_ATTRIBUTE})*+)[ \t\r]*+(?:\n|\Z)"
)
#: ``ROOT name = shape opcode(operands)`` and what follows, where the operands hold no bracket: attributes,
#: metadata with its ``op_name`` first, a configuration, more attributes.
LINE = re.compile(rf"{_HEAD}([^()]*+)\){_TAIL}", re.ASCII)
#: The same in two parts, before and after the operands.
HEAD, TAIL = re.compile(_HEAD, re.ASCII), re.compile(_TAIL, re.ASCII)
ATTRIBUTE_NAME = re.compile(rf", ([A-Za-z_][\w\-]*+)=(?:{_FLAT}|{BRACES}|{_MESH}|{_WORD}|{STRING})", re.ASCII)
FACT_NAME = re.compile(rf"([a-z_]++)=(?:{STRING}|-?[\w.]++|{BRACES})")
#: ``HloModule name, attributes``.
MODULE = re.compile(rf"HloModule ([A-Za-z_%][\w.\-]*+)((?:{_ATTRIBUTE})*+)[ \t\r]*+\Z", re.ASCII)
END = re.compile(rf"\}}(?:, execution_thread={STRING})?+[ \t\r]*+\Z")
_PLACE = "file_name_id|function_name_id|line|end_line|column|end_column"
#: Rows of the tables of source positions between the header and the computations, in their order.
TABLES = {
    "FileNames": re.compile(rf"\d{{1,9}} {STRING}\Z", re.ASCII),
    "FunctionNames": re.compile(rf"\d{{1,9}} {STRING}\Z", re.ASCII),
    "FileLocations": re.compile(rf"\d{{1,9}} \{{(?:(?:{_PLACE})=-?\d{{1,9}} ?)*+\}}\Z", re.ASCII),
    "StackFrames": re.compile(r"\d{1,9} \{(?:(?:file_location_id|parent_frame_id)=\d{1,9} ?)*+\}\Z", re.ASCII),
}
PARAMETER = re.compile(r"[A-Za-z_][\w.\-]*+\Z", re.ASCII)
#: ``ENTRY name (parameters) -> result {``, the signature as one.
OPENING = re.compile(r"[ \t]*+(ENTRY )?+(%[\w.\-]++|[A-Za-z_][\w.\-]*+)[ \t]*+((?:\([^\n]*)?)\{[ \t\r]*\Z", re.ASCII)
