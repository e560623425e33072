"""A comparison as CSV, for other programs."""

import csv
import io

from cr_jax.documents.comparison import Comparison, FailedRow
from cr_jax.documents.prediction import Comparisons, Method, NotValidated
from cr_jax.render.escape import csv_cell

_ROW = (
    "name",
    "source",
    "status",
    "error",
    "model",
    "dataset",
    "device",
    "compiled_for",
    "preset",
    "dtype",
    "precision",
    "effective_precision",
)
_PROGRAM = (
    "program",
    "phase",
    "objective",
    "mode",
    "t",
    "batch",
    "turns_per_step",
    "compiled",
    "bound",
    "model_flops",
    "matmul_flops",
    "flops",
    "hbm_bytes",
    "intensity_flops_per_byte",
    "peak_bytes",
    "flops_per_turn",
    "hbm_bytes_per_turn",
)
_TIME = (
    "seconds",
    "low_s",
    "high_s",
    "seconds_per_turn",
    "bound",
    "method",
    "standing",
    "times_fastest",
    "energy_j",
    "energy_j_per_turn",
    "unit",
    "price_usd_per_unit",
    "carbon_g_per_unit",
    "reason",
)
#: Figures of a program with a ratio.
_RATIOS = ("flops", "hbm_bytes", "peak_bytes", "flops_per_turn", "hbm_bytes_per_turn")


def as_csv(document: Comparison) -> str:
    """One line per row and program, plain numbers, empty where unknown; a failed row is one line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            *_ROW,
            "trainable_parameters",
            "total_parameters",
            "device_memory_bytes",
            *_PROGRAM,
            "fits",
            "ratio_to",
            *(f"ratio_{kind}" for kind in _RATIOS),
            *(f"time_{key}" for key in _TIME),
            "time_validated",
        ]
    )
    grounds: dict[tuple[str, Method | None], Comparisons | NotValidated] = {
        (one.device, one.method): one.validated_on for one in document.grounds
    }
    for row in document.rows:
        start = [csv_cell(getattr(row, key, None)) for key in _ROW]
        if isinstance(row, FailedRow):
            writer.writerow(start + [""] * (3 + len(_PROGRAM) + 2 + len(_RATIOS) + len(_TIME) + 1))
            continue
        parameters, memory = row.parameters, row.memory
        start += [csv_cell(getattr(parameters, key, None)) for key in ("trainable", "total")]
        start.append(csv_cell(memory.device_memory_bytes))
        fits = {one.phase: one.fits for one in memory.phases}
        for program in row.programs:
            ratio, time = program.ratio, program.time
            to = f"{document.baseline} {ratio.to}" if ratio.to else ""
            writer.writerow(
                [
                    *start,
                    *(csv_cell(getattr(program, key)) for key in _PROGRAM),
                    fits[program.phase],
                    csv_cell(to),
                    *(csv_cell(getattr(ratio, kind)) for kind in _RATIOS),
                    *(csv_cell(getattr(time, key)) for key in _TIME),
                    _validation(grounds.get((row.device, time.method))),
                ]
            )
    return text.getvalue()


def _validation(validation: Comparisons | NotValidated | None) -> str:
    """yes, no, or nothing where there is no time."""
    return "" if validation is None else "no" if isinstance(validation, str) else "yes"
