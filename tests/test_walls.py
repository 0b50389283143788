"""The architecture, read off the source: rooms in order, no circle, each library in its room, nothing unsafe."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import contsym

ROOT = Path(contsym.__file__).parent

ROOMS = (
    *("errors", "checked", "files", "machine", "plugins", "tasks"),
    *("data", "models", "config", "scenarios", "strategies", "results", "avalanche", "training", "testing"),
    *("sweeps", "report", "differences", "api", "reference", "commands", "cli", "__main__", "__init__"),
)
"""From the ground up: a module imports from its own room and from those before it."""

LIBRARIES = {
    "mlflow": r"(results|sweeps)/tracking|avalanche/mlflow_logger",
    "sqlite3": r"results/tracking",
    "faiss": r"models/neighbours",
    "click": r"cli\.py|commands/(?!views/)",
    "rich": r"commands/",
    "duckdb": r"data/sql",
    "sklearn": r"data/shortcuts|models/logistic|report/projection",
    "plotly": r"report/|api/results",
    "jinja2": r"report/",
    "ray": r"sweeps/engines/ray",
    "submitit": r"sweeps/engines/slurm",
    "avalanche": r"avalanche/|scenarios/benchmark|strategies/addons/|training/(template|observers)",
    "peft": r"strategies/|models/encoders/difference",
    "transformers": r"machine\.py|models/|testing/",
    "torch": r"(machine|checked|files|results/store)\.py"
    r"|(models|strategies|avalanche|training|testing|sweeps/engines|differences)/|commands/(?!views/)",
}
"""Where each library may be imported: how the path of such a file begins."""

MATHEMATICS = ("algebra", "distances", "losses", "heads", "closed_form")
"""Modules of models/ that are functions of tensors and know nothing of contsym but each other."""


def modules(root: Path) -> dict[str, Path]:
    """The file of each module by its dotted name."""

    def name(path: Path) -> str:
        parts = path.relative_to(root).with_suffix("").parts
        return ".".join((root.name, *(parts[:-1] if parts[-1] == "__init__" else parts)))

    return {name(path): path for path in root.rglob("*.py")}


@cache
def imported(path: Path) -> frozenset[str]:
    """Every module that a file imports, at its top or inside a function; `.` for a relative import."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." if node.level else node.module or ""
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def arrows(root: Path) -> dict[str, set[str]]:
    """Which modules each module imports, without its parent packages: Python imports those first in any case."""
    known = modules(root)
    return {
        name: {m for m in imported(path) & known.keys() if not f"{name}.".startswith(f"{m}.")}
        for name, path in known.items()
    }


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else "__init__"


def outside(root: Path) -> set[str]:
    return {name for name in modules(root) if room(name) not in ROOMS}


def upwards(root: Path) -> set[tuple[str, str]]:
    """Imports from a lower room to a higher one; the package itself, which has the version, is open to all."""
    return {
        (name, other)
        for name, others in arrows(root).items()
        for other in others - {root.name}
        if ROOMS.index(room(other)) > ROOMS.index(room(name))
    }


def circle(root: Path) -> set[str]:
    """Modules left when those that import none of the others are removed again and again."""
    left = {name: others - {root.name} for name, others in arrows(root).items()}
    while free := {name for name, others in left.items() if not others & left.keys()}:
        left = {name: others for name, others in left.items() if name not in free}
    return set(left)


def files_that_import(name: str, root: Path = ROOT) -> set[str]:
    return {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if any(module.split(".")[0] == name for module in imported(path))
    }


def strays(library: str, root: Path) -> set[str]:
    """Files that import a library which is not for their room."""
    return {file for file in files_that_import(library, root) if not re.match(LIBRARIES[library], file)}


def beyond_tensors(root: Path) -> set[tuple[str, str]]:
    """Imports of contsym's own modules by the mathematics, but for each other."""
    allowed = {"contsym.models", *(f"contsym.models.{name}" for name in MATHEMATICS)}
    return {
        (name, module)
        for name in MATHEMATICS
        for module in imported(root / "models" / f"{name}.py") & modules(root).keys() - allowed
    }


def test_no_module_stands_outside_the_rooms():
    assert outside(ROOT) == set()
    assert len(list(ROOT.glob("*.py"))) <= 9


def test_a_long_module_says_why_it_is_one():
    folders = (ROOT, ROOT.parent / "tests", ROOT.parent / "benchmarks")
    texts = {path: path.read_text("utf-8") for folder in folders for path in folder.rglob("*.py")}
    long = [path for path, text in texts.items() if len(text.splitlines()) > 400]
    assert long and [path for path in long if "Over 400 lines: " not in texts[path][:400]] == []


def test_every_import_names_its_module_in_full():
    """Else neither these rules nor the code part of keys (training/fingerprint.py) would see it."""
    assert files_that_import("") == set()


def test_no_import_leads_from_a_lower_room_to_a_higher_one():
    assert upwards(ROOT) == set()


def test_modules_import_each_other_in_no_circle():
    assert circle(ROOT) == set()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_stays_in_its_room(library):
    assert files_that_import(library) != set(), "a rule about nothing"
    assert strays(library, ROOT) == set()


def test_tensor_mathematics_knows_only_tensors():
    assert beyond_tensors(ROOT) == set()


def test_no_test_imports_from_another():
    """What several files share is a fixture in a conftest.py or a function in a module of helpers."""
    tests = Path(__file__).parent
    assert [
        (str(path.relative_to(tests)), module)
        for path in tests.rglob("*.py")
        for module in imported(path)
        if re.search(r"\btests\b.*\.test_", module)
    ] == []


# Each of these rules on a small made-up tree that breaks it.


@pytest.fixture
def tree(tmp_path):
    def make(**files: str) -> Path:
        """A package of files; `__` in a name stands for a folder."""
        root = tmp_path / "contsym"
        for name, text in {"errors": "", **files}.items():
            path = root.joinpath(*name.split("__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        (root / "__init__.py").write_text("", "utf-8")
        return root

    return make


def test_a_module_outside_the_rooms_is_found(tree):
    root = tree(utils__text="", data__tasks="", common="")
    assert outside(root) == {"contsym.utils.text", "contsym.common"}


def test_a_relative_import_is_found(tree):
    root = tree(
        data__tasks="from . import schema", data__schema="", data__hub="from ..errors import one_line"
    )
    assert files_that_import("", root) == {"data/tasks.py", "data/hub.py"}


def test_an_import_to_a_higher_room_is_found_inside_a_function_too(tree):
    root = tree(
        data__tasks="from contsym import __version__\nfrom contsym.errors import one_line",
        data__hub="def fetch():\n    from contsym.training import run",
        models__losses="import contsym.strategies.base",
        training__run="import contsym.data.tasks",
        strategies__base="",
    )
    assert upwards(root) == {
        ("contsym.data.hub", "contsym.training.run"),
        ("contsym.models.losses", "contsym.strategies.base"),
    }


def test_a_circle_is_found_and_what_leads_to_it(tree):
    root = tree(
        data__a="from contsym.data import b",
        data__b="def late():\n    from contsym.data.c import name",
        data__c="import contsym.data.b",
        data__d="from contsym import errors",
    )
    assert circle(root) == {"contsym.data.a", "contsym.data.b", "contsym.data.c"}


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_outside_its_room_is_found(library, tree):
    root = tree(data__deep__new=f"def late():\n    import {library}.part", data__other="import random")
    assert strays(library, root) == {"data/deep/new.py"}


def test_mathematics_that_knows_the_memory_is_found(tree):
    files = {f"models__{name}": "" for name in (*MATHEMATICS, "memory")}
    root = tree(
        **files | {"models__losses": "from contsym.models import distances, memory\nimport torch"},
    )
    assert beyond_tensors(root) == {("losses", "contsym.models.memory")}


# What nothing in contsym may do.


@pytest.mark.parametrize("forbidden", ["pickle", "dill", "joblib", "yaml"])
def test_nothing_is_loaded_by_pickle(forbidden):
    assert files_that_import(forbidden) == set()


@cache
def calls() -> list[tuple[str, str]]:
    """Every call of contsym's own code: its file and its text."""
    return [
        (str(path.relative_to(ROOT)), ast.unparse(node))
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    ]


RUNS_CODE = (
    *(
        "torch.load(",
        "eval(",
        "exec(",
        "compile(",
        "__import__(",
        "marshal.",
        "shelve.",
        "os.system(",
        "os.popen(",
    ),
    *("np.load(", "numpy.load(", "torch.hub.", "tempfile.mktemp(", "runpy."),
)


def test_weights_are_never_loaded_by_torch_or_remote_code():
    assert not [call for _, call in calls() if call.startswith(RUNS_CODE)]
    for danger in ("trust_remote_code=True", "weights_only=False", "allow_pickle=True", "shell=True"):
        assert not [call for _, call in calls() if danger in call]


def test_every_checkpoint_is_loaded_without_its_own_code():
    # `from_pretrained(...)` alone is pooling's own, which says so itself.
    loads = [call for _, call in calls() if ".from_pretrained(" in call.partition("(")[0] + "("]
    assert len(loads) >= 3
    assert all("trust_remote_code=False" in call for call in loads)


def test_code_from_outside_runs_in_one_place_alone():
    """`--plugin FILE` and installed plug-ins are the user's own; nothing else of a user's files is run."""
    found = {
        file for file, call in calls() if "exec_module(" in call or "importlib.import_module(plugin" in call
    }
    assert found == {"strategies/catalog.py"}


def test_every_lint_warning_that_is_silenced_says_why():
    """In code: `noqa: S603 - reason`; in pyproject.toml: a comment behind it."""
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in ROOT.rglob("*.py")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if (found := re.search(r"# noqa: S\d+(.*)$", line)) and not re.match(r"\s*-+ \w", found[1])
    ]
    assert bare == []


COMMANDS = (
    ["--help"],
    ["list"],
    ["check", "--help"],
    ["run", "--help"],
    ["data", "build", "--help"],
    ["sweep", "--help"],
    ["compare", "--help"],
    ["metrics", "--help"],
    ["runs", "--help"],
    ["show", "--help"],
    ["reproduce", "--help"],
    ["report", "--help"],
    ["diff", "--help"],
    ["doctor", "--help"],
    ["predict", "--help"],
    ["add", "--help"],
    ["export", "--help"],
)


def test_help_and_list_import_nothing_heavy():
    program = (
        "import sys\nfrom contsym.cli import cli\n"
        "heavy = {'torch', 'avalanche', 'transformers', 'datasets', 'mlflow', 'numpy', 'duckdb', 'sklearn', 'plotly'}\n"
        f"for words in {COMMANDS!r}:\n"
        "    cli(words, standalone_mode=False)\n"
        "    if found := heavy & set(sys.modules):\n"
        "        sys.exit(f'{words} imported {found}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout
