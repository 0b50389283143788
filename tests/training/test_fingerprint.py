"""The code part of a key: all that a run imports and nothing else, so that a change elsewhere trains nothing again."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import contsym
from contsym.strategies.catalog import modules_of
from contsym.training.fingerprint import IRRELEVANT, closure, code_sha256, git_commit, imported_by
from tests.command import environment

ROOT = Path(contsym.__file__).parent
RUN = "contsym.training.run"

LOADED = """
import json, sys
from pathlib import Path
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.workload import n_encodings, seconds_per_text
from tests.runs import toy_config

sources, encoder, output, *strategies = sys.argv[1:]
for strategy in strategies:
    plan = prepare(
        toy_config(json.loads(sources), encoder, Path(output), strategy, settings={"steps": "2"}, curve=True, audit=True)
    )
    n_encodings(plan, [8, 8]), seconds_per_text(plan, 1)
    # Add-ons are plugins of Avalanche.
    assert "+" in strategy or "avalanche" not in sys.modules, "planning needs seconds more"
    from contsym.training.run import run_seed
    run_seed(plan, 0, Silent())
    print(json.dumps([name for name in sys.modules if name.partition(".")[0] == "contsym"]))
"""


def is_empty(module: str) -> bool:
    """Whether a module is a package that does nothing but say what it is."""
    path = ROOT.joinpath(*module.split(".")[1:], "__init__.py")
    return path.is_file() and all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for node in ast.parse(path.read_text("utf-8")).body
    )


@pytest.mark.slow
def test_all_that_a_run_imports_is_in_its_key(toy, tiny_encoder_folder, tmp_path):
    """Of a strategy alone, and then, in the same process, of one with an add-on beside what the first has loaded."""
    sources = json.dumps({task: toy[task] for task in ("mnli", "wikidata")})
    strategies = ("knn_fixed", "fine_tune+ewc")
    program = [
        sys.executable,
        "-W",
        "ignore",
        "-c",
        LOADED,
        sources,
        tiny_encoder_folder,
        tmp_path,
        *strategies,
    ]
    done = subprocess.run(program, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    said, before = done.stdout.splitlines()[-len(strategies) :], set()
    for strategy, names in zip(strategies, map(json.loads, said), strict=True):
        # How long a run takes is not asked by the run.
        loaded = set(names) - {"contsym.training.workload"}
        covered = closure([RUN, *modules_of(strategy)])
        assert {
            "contsym.training.template",
            "contsym.models.heads",
            *modules_of(strategy),
        } <= loaded & covered
        new = loaded - before - covered
        assert {m for m in new if not IRRELEVANT.fullmatch(m) and not is_empty(m)} == set()
        # The tests' own helpers bring in nothing that stands in front of a run.
        assert not {
            m for m in loaded if m.startswith(("contsym.commands", "contsym.report", "contsym.sweeps"))
        }
        before = loaded


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of contsym, in which a test may change the source."""
    root = shutil.copytree(
        ROOT, tmp_path / "contsym", ignore=shutil.ignore_patterns("__pycache__", "bundled")
    )
    monkeypatch.setattr(contsym, "__file__", str(root / "__init__.py"))
    return root


@pytest.mark.parametrize(
    ("file", "strategies"),
    [
        ("models/losses.py", {"knn_fixed"}),
        # `above_shortcuts` comes of it.
        ("data/shortcuts.py", {"knn_fixed", "fine_tune+ewc"}),
        ("strategies/knn_fixed.py", {"knn_fixed"}),
        ("strategies/fine_tune.py", {"fine_tune+ewc"}),
        ("strategies/addons/ewc.py", {"fine_tune+ewc"}),
        ("strategies/addons/lwf.py", set()),
        ("strategies/setfit.py", set()),
        # What readers do shows in the fingerprint of the data.
        ("data/readers.py", set()),
        ("report/measures.py", set()),
        ("results/tracking.py", set()),
        ("commands/run.py", set()),
    ],
)
def test_a_change_of_code_changes_the_keys_that_it_decides(file, strategies, copy):
    def keys():
        # Without the cache, for which a module does not change while Python runs.
        return {s: code_sha256.__wrapped__(RUN, *modules_of(s)) for s in ("knn_fixed", "fine_tune+ewc")}

    before = keys()
    assert keys() == before
    with (copy / file).open("a", encoding="utf-8") as source:
        source.write("# Another comment.\n")
    assert {strategy for strategy, key in keys().items() if key != before[strategy]} == strategies


def test_a_module_imported_inside_a_function_counts(copy):
    (copy / "strategies" / "mine.py").write_text(
        "def fit():\n    from contsym.models import algebra\n", "utf-8"
    )
    assert closure(["contsym.strategies.mine"]) == {
        "contsym.strategies.mine",
        "contsym.models",
        "contsym.models.algebra",
    }


def test_the_imports_of_a_plug_in_are_read_without_running_it():
    texts = (
        "import contsym, torch\nfrom contsym.strategies.knn_fixed import KnnFixed\n",
        "{{ template }} (",
        "from contsym.not_there import x",
    )
    assert imported_by(texts) == ("contsym", "contsym.strategies.knn_fixed")


def test_the_commit_says_whether_there_are_changes(tmp_path, monkeypatch):
    package = tmp_path / "contsym" / "__init__.py"
    package.parent.mkdir()
    package.write_text("")
    monkeypatch.setattr("contsym.training.fingerprint.contsym", SimpleNamespace(__file__=str(package)))
    assert git_commit() is None

    def git(*words):
        names = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", "-C", tmp_path, *names, *words], check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    assert re.fullmatch("[0-9a-f]{40}", git_commit())
    package.write_text("x = 1")
    assert re.fullmatch(r"[0-9a-f]{40}\+", git_commit())
