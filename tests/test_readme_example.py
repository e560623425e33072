"""The example in the README runs as it stands, here for the CPU."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_example_of_a_function_runs(capsys, monkeypatch):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"<!-- runs as it stands -->\n```python\n(.*?)```", text, re.DOTALL)
    assert 'device="h100"' in example
    namespace = {"__name__": "example"}
    exec(example.replace('device="h100"', 'device="cpu"'), namespace)
    report = namespace["report"]
    # Two layers; the gradient by each kernel, and by the hidden layer.
    first, second = 2 * 128 * 784 * 256, 2 * 128 * 256 * 10
    assert report.matmul_flops == 2 * first + 3 * second
    assert report.parameters == 784 * 256 + 256 + 256 * 10 + 10
    assert "exact" in capsys.readouterr().out
