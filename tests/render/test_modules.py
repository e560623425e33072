"""Modules as a tree: sums, shares, parameters and depth."""

import io

import pytest
from documents.samples import cost_report
from msgspec import UNSET, convert, structs
from reports import sample
from rich.console import Console

from cr_jax.documents.cost_report import CostReport
from cr_jax.documents.prediction import ModuleSeconds
from cr_jax.documents.reported_step import ModuleCosts
from cr_jax.render.cost import grid, render_cost
from cr_jax.render.module_passes import module_passes
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


DEEP = tuple(
    one for n in range(12) for one in (row(f"Net/layers.{n}/attention", 60 + n % 2, 10), row(f"Net/layers.{n}/mlp", 40, n))
)


def shown(step, depth, parameters=()):
    file = io.StringIO()
    Console(file=file, width=140).print(render_modules(step, dict(parameters), depth, grid))
    return [line.rstrip() for line in file.getvalue().splitlines()[2:]]


def with_modules(modules, prediction=UNSET):
    return structs.replace(convert(cost_report(), CostReport).steps[0], modules=modules, prediction=prediction)


def test_equal_layers_share_a_row_with_their_sums_and_stand_alone_where_all_is_shown():
    weights = {f"layers.{n}.mlp": 5 for n in range(12)}
    lines = shown(with_modules(DEEP), 3, weights)
    assert [line.split()[0] for line in lines] == ["Net", "layers.0-11", "attention", "mlp"]
    assert lines[1].split()[:5] == ["layers.0-11", "(12", "x)", "100.0%", "1.21"]  # 1206
    assert lines[1].split()[-1] == "60" and lines[3].split()[-1] == "60"
    assert lines[3].split()[2] == "480"
    assert len(shown(with_modules(DEEP), 0, weights)) == 1 + 12 * 3


@pytest.mark.parametrize(
    "odd",
    [
        row("Net/layers.5/attention", 30),  # other FLOPs
        row("Net/layers.5/router", 1),  # another module inside
    ],
)
def test_a_layer_that_differs_has_its_own_row(odd):
    lines = shown(with_modules((*DEEP, odd)), 2)
    assert [line.split()[0] for line in lines[1:]] in (["layers.0-4,6-11", "layers.5"], ["layers.5", "layers.0-4,6-11"])
    assert "(11 x)" in "".join(lines)


def test_two_of_a_kind_are_shown_by_name():
    assert [line.split()[0] for line in shown(with_modules(DEEP[:4]), 2)] == ["Net", "layers.1", "layers.0"]


def predicted(modules, outside, seconds):
    rows = tuple(convert({"module": name, "pass": which, "seconds": one}, ModuleSeconds) for name, which, one in modules)
    prediction = structs.replace(convert(cost_report(), CostReport).steps[0].prediction, seconds=seconds)
    return structs.replace(prediction, modules=rows, outside_modules=outside)


TIMES = predicted(
    [("Net/layers.0/attention", "forward", 0.5), ("Net/layers.0/attention", "backward", 0.25), ("optimizer", "optimizer", 1.0)],
    {"starting kernels": 0.25, "loops": 0.0},
    2.0,
)


def test_times_add_up_along_the_tree_and_what_no_module_has_follows():
    root = module_tree(MODULES, {}, TIMES.modules)
    assert root.seconds == 1.75 and root.children["Net"].seconds == 0.75
    lines = shown(with_modules(MODULES, TIMES), 1)
    assert [line.split()[-3:] for line in lines] == [["750", "ms", "37.5%"], ["1", "s", "50.0%"], ["250", "ms", "12.5%"]]
    assert lines[-1].startswith("(starting kernels)")


def test_without_a_predicted_time_there_is_no_column_for_it():
    file = io.StringIO()
    Console(file=file, width=140).print(render_modules(with_modules(MODULES), {}, 1, grid))
    assert "time" not in file.getvalue()


def test_the_flat_table_of_a_model_has_the_times_of_all_modules_and_of_what_no_module_has():
    many = tuple(row(f"part{chr(97 + n)}", 20 - n) for n in range(15))
    seconds = predicted([(one.module, "forward", 0.1) for one in many], {"call": 0.5}, 2.0)
    file = io.StringIO()
    Console(file=file, width=140).print(module_passes(with_modules(many, seconds), grid))
    lines = [line.split() for line in file.getvalue().splitlines()[2:]]
    assert len(lines) == 12 + 2 and lines[0][-3:] == ["100", "ms", "5.0%"]
    assert lines[-2][:2] == ["3", "more"] and lines[-2][-3:] == ["300", "ms", "15.0%"]
    assert lines[-1] == ["(call)", "500", "ms", "25.0%"]


def test_a_program_that_names_no_module_says_so_and_what_gives_names():
    report = sample()

    def text(modules):
        file = io.StringIO()
        bare = tuple(structs.replace(step, modules=modules) for step in report.steps)
        Console(file=file, width=300).print(render_cost(structs.replace(report, steps=bare)))
        return file.getvalue()

    nameless = text((row("(none)", 5),))
    assert "no module is named: jax.named_scope" in nameless and "unattributed" not in nameless
    assert "unattributed at most" in text((row("(none)", 5), row("head", 5)))
