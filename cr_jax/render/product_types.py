"""The types in which the compiler multiplies quantised weights."""

from collections.abc import Sequence

from rich.text import Text

from cr_jax.documents.reported_step import ReportedStep


def product_types_line(steps: Sequence[ReportedStep]) -> Text | None:
    """The share of the matrix products of the last step by type; ``None`` where weights are not quantised."""
    named = [(step.name, step.product_types) for step in steps if step.product_types]
    if not named:
        return None
    name, by_type = named[-1]
    total = sum(by_type.values())
    shares = ", ".join(f"{kind} {flops / total:.0%}" for kind, flops in by_type.items())
    text = Text("Matrix products by type  ", style="bold")
    return text.append(f"{shares} of the FLOPs of {name}, as compiled\n", style="not bold")
