"""``--function module:NAME``: a user's function in the place of a model."""

import json

import pytest
from reports import changed

from cr_jax.catalog.load import accelerator
from cr_jax.predict.money.pricing import Rates, costs
from cr_jax.report.document import read_report, to_json

MODULE = """
import jax
import jax.numpy as jnp

WEIGHTS = {"params": {"kernel": jax.ShapeDtypeStruct((64, 32), jnp.float32)}}
BATCH = jax.ShapeDtypeStruct((16, 64), jnp.float32)


def train_step(weights, batch):
    def loss(weights):
        return jnp.square(batch @ weights["params"]["kernel"]).sum()

    gradients = jax.grad(loss)(weights)
    return jax.tree.map(lambda w, g: w - 0.1 * g, weights, gradients)


def named():
    return train_step, (WEIGHTS, BATCH), {"donate": "weights", "batch": "batch"}


def other_batch():
    return train_step, (WEIGHTS, jax.ShapeDtypeStruct((32, 64), jnp.float32)), {"batch": 1, "name": "other"}


def sampler():
    def step(x):
        return jax.lax.while_loop(lambda x: x.sum() < 9, lambda x: x @ x, x)

    return step, (jax.ShapeDtypeStruct((8, 8), jnp.float32),)


def failing():
    raise KeyError("weights.npz")


def leaving():
    raise SystemExit(5)


def numbers():
    return 3, (4,)


def short():
    return train_step


def wrong_option():
    return train_step, (WEIGHTS, BATCH), {"donated": 0}


def too_few():
    return train_step, (WEIGHTS,)


def labelled():
    def loss(weights, images, labels, scale):
        return scale * jnp.square((images @ weights).sum(1) - labels).sum()

    shape = jax.ShapeDtypeStruct
    arguments = shape((64, 32), jnp.float32), shape((16, 64), jnp.float32), shape((16,), jnp.float32), shape((), jnp.float32)
    return jax.grad(loss), arguments, {"batch": "images"}
"""
FORWARD = 2 * 16 * 64 * 32


@pytest.fixture
def user(crjax, monkeypatch, tmp_path):
    """``user("profile", ...)``, in a folder with the module ``mine``."""
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *__import__("sys").path])
    monkeypatch.delitem(__import__("sys").modules, "mine", raising=False)
    yield crjax
    __import__("sys").modules.pop("mine", None)


def test_a_function_is_counted_like_a_model(user):
    code, out, err = user("profile", "--function", "mine:named", "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    (step,) = report["steps"]
    # The forward product, and the gradient by the kernel; none by the batch.
    assert step["compiled"]["matmul_flops"] == step["model"]["matmul_flops"] == 2 * FORWARD
    assert step["compiled"]["bound"] == "exact"
    assert report["parameters"]["trainable"] == 64 * 32
    assert report["dataset"] is None and report["workload"]["users"] is None
    assert report["function"]["call"] == "mine:named"
    assert {row["name"]: row["donated"] for row in report["function"]["arguments"]} == {
        "weights.params.kernel": True,
        "batch": False,
    }
    assert step["per"]["flops_per_example"] == step["compiled"]["flops"] / 16


def test_the_terminal_names_function_arguments_and_batch(user):
    code, out, _ = user("profile", "--function", "mine:named")
    assert code == 0
    assert "train_step · compiled for cpu" in out
    assert "2 arrays as arguments" in out and "batch of 16 · from mine:named" in out
    assert "One call" in out and "turn 0" not in out


def test_the_largest_batch_of_a_function(user):
    code, out, _ = user("profile", "--function", "mine:named", "--max-batch", "--memory-gb", "0.0001", "--json")
    (row,) = json.loads(out)["max_batch"]
    assert code == 0 and row["objective"] == "train_step"
    assert row["peak_bytes"] <= 100_000 < row["next_peak_bytes"]
    code, _, err = user("profile", "--function", "mine:sampler", "--max-batch")
    assert code == 2 and "is named as its batch; legal: batch=NAME" in err


def test_what_is_not_scaled_with_the_batch_is_named(user):
    code, out, err = user("profile", "--function", "mine:labelled", "--max-batch", "--memory-gb", "1")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("crjax: --max-batch: a batch of 32: labels kept 16 rows, those of the batch; ")
    assert "legal: batch=('images', 'labels') among its options (function" in err and "weights" not in err


def test_a_loop_of_unknown_count_is_a_lower_bound_until_the_user_knows_it(user):
    _, out, _ = user("profile", "--function", "mine:sampler", "--json")
    assert json.loads(out)["steps"][0]["compiled"]["bound"] == "lower"
    _, out, err = user("profile", "--function", "mine:sampler", "--trips", "while=5", "--json")
    step = json.loads(out)["steps"][0]
    assert step["compiled"]["bound"] == "assumed", err
    assert step["compiled"]["matmul_flops"] == 5 * 2 * 8 * 8 * 8
    code, _, err = user("profile", "--function", "mine:sampler", "--trips", "scan=5")
    assert code == 2 and "unknown loop of unknown trip count 'scan'" in err


def test_compare_diff_and_check_take_its_reports(user, tmp_path):
    files = {name: str(tmp_path / f"{name}.json") for name in ("named", "other_batch")}
    for name, file in files.items():
        assert user("profile", "--function", f"mine:{name}", "--out", file, "--get", "peak_bytes")[0] == 0
    code, out, _ = user("compare", *files.values())
    assert code == 0 and "One call of a function" in out
    code, out, _ = user("compare", "--function", "mine:named,mine:too_few", "--json")
    assert code == 0, "a failed row does not affect the others"
    assert [row["status"] for row in json.loads(out)["rows"]] == ["ok", "failed"]
    code, out, _ = user("diff", *files.values())
    assert code == 0 and "mine:named, cpu" in out
    code, out, err = user("check", "--baseline", files["named"], "--function", "mine:named")
    assert code == 0 and "within limits" in out, err


def same(document):
    """What does not depend on when and how the document was made."""
    return {key: value for key, value in json.loads(document).items() if key not in ("created", "command")}


@pytest.mark.parametrize("mesh", [(), ("--mesh", "data=4")], ids=["one device", "mesh"])
def test_shards_merge_into_the_document_of_one_process(user, tmp_path, mesh):
    grid = ("--function", "mine:named", "--function", "mine:other_batch,mine:too_few", "--device", "cpu,h100", *mesh)
    for number in (1, 2, 3, 4):
        code, _, err = user("compare", *grid, "--shard", f"{number}/4", "--out", tmp_path / f"{number}.json")
        assert code == 0, err
    code, merged, err = user("merge", *(tmp_path / f"{number}.json" for number in (4, 2, 3, 1)))
    assert code == 0, err
    assert same(merged) == same(user("compare", *grid, "--json")[1])
    rows = {row["name"]: row["status"] for row in json.loads(merged)["rows"]}
    assert rows == {
        f"mine:{name}@{device}": status
        for name, status in (("named", "ok"), ("other_batch", "ok"), ("too_few", "failed"))
        for device in ("cpu", "h100")
    }


def test_shards_of_other_functions_are_refused_with_the_difference(user, tmp_path):
    for number, name in ((1, "named"), (2, "other_batch")):
        user("compare", "--function", f"mine:{name},mine:sampler", "--shard", f"{number}/2", "--out", tmp_path / f"{number}.json")
    shard = json.loads((tmp_path / "1.json").read_text())
    assert shard["grid"]["settings"]["requests"][0]["arguments"] == ["float32[64,32]", "float32[16,64]"]
    code, out, err = user("merge", tmp_path / "1.json", tmp_path / "2.json")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "requests.0.function is 'mine:other_batch', in " in err and "'mine:named'" in err


def test_a_comparison_of_functions_says_nothing_of_turns(user, tmp_path):
    file = tmp_path / "named.json"
    user("profile", "--function", "mine:named", "--out", file, "--get", "peak_bytes")
    time = {"seconds": 0.004, "low_s": 0.001, "high_s": 0.01, "bound": "memory", "method": "peaks", "shares": {"memory": 1.0}}
    energy, price = costs(0.004, {"memory": 1.0}, accelerator("h100"), Rates())
    known = time | {"reason": None, "energy": energy, "price": price}
    predicted = {f"steps.*.prediction.{key}": value for key, value in known.items()}
    file.write_text(to_json(changed(read_report(file), predicted | {"target.name": "h100"})))
    code, out, _ = user("compare", file, "--format", "md")
    assert code == 0 and "energy/step" in out and "1000 steps" in out and "turn" not in out
    code, out, _ = user("compare", "--function", "mine:named", "--mesh", "data=4")
    assert code == 0 and "figures are of one of them, energy and price of all" in out and "turn" not in out


def test_check_calls_only_a_function_that_the_user_names(user, tmp_path):
    file = str(tmp_path / "named.json")
    user("profile", "--function", "mine:named", "--out", file, "--get", "peak_bytes")
    code, _, err = user("check", "--baseline", file)
    assert code == 2 and "legal: --function mine:named" in err
    code, _, err = user("check", "--baseline", file, "--function", "mine:other_batch")
    assert code == 2 and "is not 'mine:other_batch'" in err
    code, _, err = user("check", "--baseline", file, "--function", "mine:named", "--time", "5")
    assert code == 2 and "--time: belongs to the report of a model" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--function", "mine:failing"), "calling it raised KeyError: 'weights.npz'"),
        (("--function", "mine:leaving"), "calling it raised SystemExit: 5"),
        (("--function", "mine:numbers"), "returned an int in the function's place"),
        (("--function", "mine:short"), "returned a function; legal: a function without parameters that returns"),
        (("--function", "mine:wrong_option"), "unknown option 'donated'; legal: keywords, donate, static, weights, batch, name"),
        (("--function", "mine:too_few"), "missing 1 required positional argument: 'batch'"),
        (("--function", "mine:nothing"), "has no 'nothing'"),
        (("--function", "mine"), "legal: package.module:NAME"),
        (("--function", "mine:named", "--users", "3"), "--users: belongs to --model"),
        (("--function", "mine:named", "--set", "hidden=3"), "--set: belongs to --model"),
        (("--function", "mine:named", "--model", "dmn"), "both --model and --function"),
        ((), "neither --model nor --function"),
        (("--model", "dmn", "--trips", "a=3"), "--trips and --kernel belong to --function"),
        (("--function", "mine:named", "--function", "mine:short"), "--function mine:named, mine:short: legal: one"),
        (("--function", "mine:named", "--kernel", "a"), "--kernel 'a'"),
        (("--function", "mine:named", "--precision", "low"), "unknown precision 'low'"),
        (("--function", "mine:named", "--mesh", "data=3"), "does not divide the batch of 16"),
        (("--function", "mine:sampler", "--mesh", "data=4"), "nothing says how the function's arguments are split"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(user, arguments, said):
    code, out, err = user("profile", *arguments)
    assert code == 2 and out == ""
    assert said in err and err.count("\n") == 1


def test_the_cost_of_many_calls(user):
    code, out, err = user("estimate", "--function", "mine:named", "--steps", "1000", "--json")
    document = json.loads(out)
    assert (code, err) == (0, "") and document["kind"] == "scaling-estimate"
    assert document["work"] == "1,000 calls" and document["rows"][0]["steps"] == 1000
    assert document["rows"][0]["flops_per_device"] >= 2 * FORWARD


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--function", "mine:named", "--steps", "0"), "--steps 0: legal: 1 or more"),
        (("--function", "mine:named", "--model", "dmn"), "--model: does not belong to --function"),
        (("--model", "dmn", "--steps", "3"), "--steps: legal with --scaling or --function"),
        (("--model", "dmn", "--scaling", "1,x"), "legal: numbers of devices with commas"),
        (("--model", "dmn", "--scaling", "2,1"), "legal: growing numbers of devices"),
        (("--model", "dmn,mmn", "--scaling", "1,2"), "--scaling with 2 models; legal: one"),
        (("--model", "dmn", "--scaling", "1,2", "--deadline", "2"), "--deadline '2': legal: a number with s, m, h or d"),
        (("--model", "dmn", "--scaling", "1,2", "--mesh", "data=2"), "legal without --scaling and --function"),
        (("--model", "dmn", "--scaling", "1,2", "--schedule", "equal-turns"), "legal: epochs=N, by default 1"),
        (("--function", "mine:named", "--weak"), "--weak: legal with --scaling"),
        ((), "neither --model nor --function"),
    ],
)
def test_misuse_of_estimate_is_one_line(user, arguments, said):
    code, out, err = user("estimate", *arguments)
    assert code == 2 and out == ""
    assert said in err and err.count("\n") == 1
