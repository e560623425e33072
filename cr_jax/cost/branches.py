"""What conditionals and loops leave open: branches to choose from, and iterations between least and most."""

from dataclasses import fields

from cr_jax.cost.ledger import Ledger
from cr_jax.cost.value import Cost
from cr_jax.hlo.loops import TripCount
from cr_jax.hlo.module import Instruction


def passes(count: TripCount) -> tuple[int, int]:
    """Iterations at least and at most; none of a loop that nobody knows, which may never run."""
    most = count.count or 0
    if count.at_most:
        return 0, most
    return most if count.disputed is None else min(count.disputed, most), most


def branch_names(switch: Instruction) -> list[str]:
    """The computations that a conditional chooses between."""
    names = [n.strip().lstrip("%") for n in (switch.attribute("branch_computations") or "").strip("{}").split(",")]
    if names == [""]:
        return [switch.called("true_computation") or "", switch.called("false_computation") or ""]
    return names


def lowered(branch: Ledger, total: Cost) -> Ledger:
    """A branch with its rows made smaller until they add up to ``total``, which is nowhere more than theirs."""
    made = Ledger()
    made.include(branch, 1)
    excess = branch.total() + total * -1
    for f in fields(excess):
        left = getattr(excess, f.name)
        for row in made.rows.values():
            taken = min(left, getattr(row, f.name))
            setattr(row, f.name, getattr(row, f.name) - taken)
            left -= taken
    return made
