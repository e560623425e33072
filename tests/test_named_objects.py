"""Objects of the user's own code: what is found, and every way in which one is not."""

import functools
import sys

import jax
import pytest

from cr_jax.errors import BadConfig
from cr_jax.named_objects import add_current_folder, find_object, function_name

FILES = {
    "importing": "from functools import partial, reduce\nimport jax\n\n\ndef own(x):\n    return x\n\n\nmade = partial(own, 1)\n",
    "lending": "from functools import reduce\n",
    "good": "number, text = 3, 'three'\n_hidden = 4\n",
    "lacking": "import os\n\nimport a_package_that_nobody_has\n",
    "failing": "def halve(x):\n    return x / 0\n\n\nhalve(1)\n",
    "misspelt": "number = 3\ndef f(:\n",
    "ending": "import sys\n\nsys.exit(3)\n",
    "using": "import failing\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, with a module per entry of ``FILES``."""
    for name, text in FILES.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*(place for place in sys.path if place)])
    add_current_folder()
    yield tmp_path
    for name in (*FILES, "packed"):
        sys.modules.pop(name, None)


def find(name, submodule=""):
    return find_object("number", name, "an int", lambda value: isinstance(value, int), submodule)


def test_an_object_of_the_current_folder(folder):
    assert find("good:number") == 3
    assert sys.path[-1] == str(folder)  # after all else: nothing installed is shadowed
    add_current_folder()
    assert sys.path.count(str(folder)) == 1


def test_what_a_package_lacks_is_looked_for_in_its_submodule(folder):
    (folder / "packed").mkdir()
    (folder / "packed" / "__init__.py").touch()
    (folder / "packed" / "inner.py").write_text("number = 5\n")
    assert find("packed:number", "inner") == 5
    with pytest.raises(BadConfig, match=r"module 'packed' .* has no 'number'"):
        find("packed:number")


def test_a_deleted_folder_adds_nothing(folder, monkeypatch):
    def gone():
        raise FileNotFoundError(2, "No such file or directory")

    before = list(sys.path)
    monkeypatch.setattr("os.getcwd", gone)
    add_current_folder()
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "reason", "cause"),
    [
        ("absent:number", "there is no module 'absent'; legal: package.module:NAME of a file in the current folder", None),
        ("good.inner:number", "there is no module 'good.inner'", None),
        ("good:numbr", r"module 'good' \(good.py\) has no 'numbr'; did you mean number\? legal: an int, here number$", None),
        ("good:text", "is a str; legal: an int, here number$", None),
        ("good:", "not a module and a name in it; legal: package.module:NAME", None),
        (
            "lacking:number",
            "lacking.py, line 3, imports 'a_package_that_nobody_has', which is not installed: install it",
            ModuleNotFoundError,
        ),
        ("failing:number", "failing.py, line 2: ZeroDivisionError: division by zero; --debug", ZeroDivisionError),
        ("using:number", "failing.py, line 2: ZeroDivisionError", ZeroDivisionError),
        ("misspelt:number", "misspelt.py, line 2: SyntaxError: ", SyntaxError),
        ("ending:number", "ending.py, line 3: SystemExit: 3", SystemExit),
    ],
)
def test_a_refusal_names_the_place_and_what_is_legal(name, reason, cause):
    with pytest.raises(BadConfig, match=reason) as caught:
        find(name)
    assert str(caught.value).startswith(f"number '{name}'") and "\n" not in str(caught.value)
    assert type(caught.value.__cause__) is (cause or type(None))


@pytest.mark.parametrize(("name", "legal"), [("importing:owned", "own, made"), ("lending:reduced", "reduce")])
def test_what_a_module_imports_is_named_where_it_defines_nothing(name, legal):
    with pytest.raises(BadConfig, match=f"legal: a function, here {legal}$"):
        find_object("function", name, "a function", callable)


def test_functions_without_a_name_are_named_by_what_they_are():
    def named(x):
        return x

    part, nameless = functools.partial(named, 1), lambda x: x
    here = f"lambda at test_named_objects.py:{nameless.__code__.co_firstlineno}"
    assert function_name(named) == function_name(jax.jit(named)) == "named"
    assert function_name(nameless) == function_name(jax.jit(nameless)) == here
    assert function_name(part) == function_name(jax.jit(part)) == "functools.partial of named"
    assert function_name(functools.partial(jax.jit(part), 2)) == "functools.partial of named"
    assert function_name(functools.partial(nameless)) == f"functools.partial of {here}"
