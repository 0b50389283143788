"""Import directions: which part may know of which, read off the source."""

import ast
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
        ("faiss", {"memory.py"}),
        (
            "click",
            {
                "authoring_cli.py",
                "cli.py",
                "data_cli.py",
                "doctor_cli.py",
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
                "display_sweep.py",
            },
        ),
        ("duckdb", {"data/engine.py"}),
        ("sklearn", {"data/shortcuts.py", "logistic.py", "report/view.py"}),
        ("plotly", {"report/figures.py", "report/render.py"}),
        ("jinja2", {"report/render.py"}),
        ("ray", {"sweep/ray_executor.py"}),
        ("submitit", {"sweep/slurm_executor.py"}),
        (
            "avalanche",
            {"strategies/base.py", "scenarios/build.py", "metrics/plugins.py", "seed_run.py"}
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
        assert all(m.startswith("contsym.relations") for m in own), path


@pytest.mark.parametrize("forbidden", ["pickle", "dill", "joblib", "yaml"])
def test_nothing_is_loaded_by_pickle(forbidden):
    assert files_that_import(forbidden) == set()


def test_weights_are_never_loaded_by_torch_or_remote_code():
    calls = [
        ast.unparse(node)
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
    ]
    assert not [call for call in calls if call.startswith(("torch.load(", "eval(", "exec("))]
    assert not [call for call in calls if "trust_remote_code=True" in call]


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
