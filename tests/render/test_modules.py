"""Modules as a tree: sums, shares, parameters and depth."""

import io

import pytest
from documents.samples import cost_report
from msgspec import convert, structs
from rich.console import Console

from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.reported_step import ModuleCosts
from cr_jax.render.cost import grid
from cr_jax.render.modules import module_tree, render_modules


def row(module, matmul, moved=0, which="forward"):
    zero = dict.fromkeys(("integer_ops", "transcendentals", "onchip_bytes", "collective_bytes", "replaced_matmul_flops"), 0)
    figures = {"matmul_flops": matmul, "other_flops": 0, "read_bytes": moved, "written_bytes": 0, "hbm_bytes": moved}
    return ModuleCosts(module=module, pass_=which, model_matmul_flops=matmul, **figures, **zero)


MODULES = (
    row("Net/layers.0/attention", 60, 10),
    row("Net/layers.0/attention", 20, 0, "backward"),
    row("Net/layers.0/mlp", 10),
    row("Net/layers.0", 5, 5),
    row("Net/embed", 0, 0),
    row("optimizer", 5, 85),
)
PARAMETERS = {"layers.0.attention": 7, "layers.0": 2, "embed": 100, "gone": 1}


def test_a_module_holds_what_is_inside_it_and_nothing_counts_twice():
    root = module_tree(MODULES, PARAMETERS)
    assert (root.flops, root.bytes, root.parameters) == (100, 100, 110)
    net = root.children["Net"]
    assert (net.flops, net.bytes, net.parameters) == (95, 15, 109)
    layer = net.children["layers.0"]
    assert (layer.flops, layer.parameters, layer.children["attention"].flops) == (95, 9, 80)
    assert layer.children["mlp"].parameters is None


@pytest.mark.parametrize(("depth", "names"), [(1, 2), (2, 4), (0, 6)])
def test_depth_folds_what_is_deeper(depth, names):
    step = structs.replace(convert(cost_report(), CostReport).steps[0], modules=MODULES)
    file = io.StringIO()
    Console(file=file, width=120).print(render_modules(step, PARAMETERS, depth, grid))
    lines = [line for line in file.getvalue().splitlines() if "%" in line]
    assert len(lines) == names
    assert lines[0].split()[:3] == ["Net", "95.0%", "95"]
    assert lines[-1].split()[0] == "optimizer"
    if depth != 1:
        assert lines[1].startswith("  layers.0  ") and "embed" in file.getvalue(), "a table of weights is shown without FLOPs"
