"""The contract of a count with a program's truth, traced and as XLA's CPU compiler changes it."""

from battery.program import Program
from cr_jax.cost.counting.hlo_count import HloCount


def complaints(program: Program, found: HloCount, compiled: bool) -> list[str]:
    """What is wrong with the count of the traced or the compiled program; empty where nothing is.

    A figure said to be exact is the truth; a lower bound is not above the fewest FLOPs of any run, an upper one not below the
    most; of a range both ends hold.
    """
    fewest, most = program.flops if isinstance(program.flops, tuple) else (program.flops, program.flops)
    changed = program.compiled.get("cpu")
    if compiled and changed is not None and changed.flops is not None:
        fewest = most = changed.flops
    # A product of one row becomes multiplications and a sum: the counter says how many FLOPs of products they carry.
    counted = found.matmul_flops + found.total.replaced_matmul_flops
    least = found.least.matmul_flops + found.least.replaced_matmul_flops
    expected = program.compiled_bound if compiled and program.compiled_bound else program.bound
    wrong = [] if found.bound == expected else [f"bound is {found.bound}, expected {expected}"]
    if found.bound == "exact" and (counted, counted) != (fewest, most):
        wrong.append(f"said to be exact: {counted}, in truth {fewest} to {most}")
    if found.bound == "lower" and counted > fewest:
        wrong.append(f"said to be a lower bound: {counted}, in truth at least {fewest}")
    if found.bound in ("upper", "range") and (least > fewest or most is None or counted < most):
        wrong.append(f"said to be {least} to {counted}, in truth {fewest} to {most}")
    return wrong
