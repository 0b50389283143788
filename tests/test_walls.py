"""Import directions: which part may know of which, read off the source."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import contsym

ROOT = Path(contsym.__file__).parent


def imported(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def files_that_import(name: str) -> set[str]:
    return {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if any(module.split(".")[0] == name for module in imported(path))
    }


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("mlflow", {"tracking.py"}),
        ("faiss", {"neighbours.py"}),
        (
            "click",
            {
                "authoring_cli.py",
                "cli.py",
                "data_cli.py",
                "doctor_cli.py",
                "list_cli.py",
                "pretrain_cli.py",
                "report_cli.py",
                "results_cli.py",
                "sweep_cli.py",
                "options.py",
            },
        ),
        (
            "rich",
            {"cli.py", "data_cli.py", "doctor_cli.py", "pretrain_cli.py", "results_cli.py", "sweep_cli.py"}
            | {
                "display.py",
                "display_compare.py",
                "display_data.py",
                "display_doctor.py",
                "display_progress.py",
                "display_sweep.py",
            },
        ),
        ("duckdb", {"data/engine.py"}),
        ("sklearn", {"data/shortcuts.py", "logistic.py", "report/view.py"}),
        ("plotly", {"report/figures/look.py", "report/render.py"}),
        ("jinja2", {"report/render.py"}),
        ("ray", {"sweep/ray_executor.py"}),
        ("submitit", {"sweep/slurm_executor.py"}),
        (
            "avalanche",
            {"template.py", "scenarios/build.py", "metrics/plugins.py", "seed_run.py"}
            | {
                f"addons/{name}.py" for name in ("agem", "cumulative", "derpp", "ewc", "lwf", "mas", "replay")
            },
        ),
        ("peft", {"strategies/routed_adapters.py"}),
    ],
)
def test_a_library_stays_in_its_room(library, allowed):
    assert files_that_import(library) == allowed


def test_relations_know_only_tensors():
    for path in (ROOT / "relations").glob("*.py"):
        own = {m for m in imported(path) if m.startswith("contsym")}
        assert all(m.startswith("contsym.models") for m in own), path


@pytest.mark.parametrize("forbidden", ["pickle", "dill", "joblib", "yaml"])
def test_nothing_is_loaded_by_pickle(forbidden):
    assert files_that_import(forbidden) == set()


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
    assert found == {"plugins.py"}


def test_every_lint_warning_that_is_silenced_says_why():
    """In code: `noqa: S603 - reason`; in pyproject.toml: a comment behind it."""
    bare = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in ROOT.rglob("*.py")
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if (found := re.search(r"# noqa: S\d+(.*)$", line)) and not re.match(r"\s*-+ \w", found[1])
    ]
    assert bare == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["check", "--help"],
        ["run", "--help"],
        ["data", "build", "--help"],
        ["sweep", "--help"],
        ["compare", "--help"],
        ["metrics", "--help"],
        ["reproduce", "--help"],
        ["report", "--help"],
        ["doctor", "--help"],
    ],
)
def test_help_and_list_import_nothing_heavy(arguments):
    program = (
        "import sys\nfrom contsym.cli import cli\n"
        f"cli({arguments!r}, standalone_mode=False)\n"
        "heavy = {'torch', 'avalanche', 'transformers', 'datasets', 'mlflow', 'numpy', 'duckdb', 'sklearn', 'plotly'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout
