"""Strategies and scenarios of one's own: found by file or entry point, run, told apart in results.

Over 400 lines: one set of files, found in each of the ways.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from contsym import plugins
from contsym.errors import ContsymError
from contsym.files import visible_folders
from contsym.results import store
from contsym.strategies.catalog import check_class, find_strategy, load_strategy, strategies
from contsym.testing.starters import write
from contsym.testing.toy import write_tasks
from contsym.training.keys import key_of
from contsym.training.plan import prepare
from tests.command import contsym, contsym_here
from tests.runs import stored_results, toy_config

ROOT = Path(__file__).resolve().parents[1]
CARD = 'CARD = {"source": "s", "trains": "t", "stores": "u"}\n'
QUICK = ("--device", "cpu", "--no-audit", "--set", "steps=2")


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return write_tasks(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def begun(tmp_path):
    """A folder with the strategy and the scenario of `contsym new`."""
    write("strategy", "my_method", tmp_path)
    write("scenario", "my_scenario", tmp_path)
    return tmp_path


def sources(toy):
    return tuple(word for task, source in toy.items() for word in (f"--{task}", source))


# -- Named by file --


@pytest.mark.usefixtures("untracked")
def test_a_run_finds_both_and_says_with_which(begun, toy, tiny_encoder_folder):
    done = contsym_here(
        *("run", "--strategy", "my_method", "--scenario", "my_scenario", "--encoder", tiny_encoder_folder),
        *("--plugin", "my_method.py", "--plugin", "my_scenario.toml"),
        *(*sources(toy), *QUICK, "--no-curve", "--protocol", "sequential"),
        cwd=begun,
    )
    assert done.returncode == 0, done.stderr
    (seed,) = stored_results(begun / "mlruns")
    assert (seed.strategy, seed.scenario) == ("my_method", "my_scenario")
    assert [(p.kind, p.name, p.origin) for p in seed.plugins] == [
        ("strategy", "my_method", "my_method.py"),
        ("scenario", "my_scenario", "my_scenario.toml"),
    ]
    sha256 = subprocess.run(["sha256sum", "my_method.py"], capture_output=True, text=True, cwd=begun).stdout
    assert seed.plugins[0].sha256 == sha256.split()[0]
    assert [len(losses) for losses in seed.loss] == [2, 2]


@pytest.mark.slow
def test_a_sweep_finds_it_in_its_workers_and_when_it_is_resumed(
    begun, toy, tiny_encoder_folder, mlflow_template
):
    (begun / "mlruns").mkdir()
    shutil.copy(mlflow_template, begun / "mlruns" / "mlflow.db")
    done = contsym(
        *("sweep", "--strategies", "my_method", "--scenario", "wikidata_only", "--plugin", "my_method.py"),
        *("--wikidata", toy["wikidata"], "--encoder", tiny_encoder_folder, "--shots", "8", "--seeds", "1"),
        *(*QUICK, "--jobs", "1", "--json"),
        cwd=begun,
    )
    assert done.returncode == 0, done.stderr
    (cell,) = visible_folders(begun / "mlruns" / "results")
    assert [p.name for p in store.read_result(cell).plugins] == ["my_method"]
    again = contsym_here("sweep", "--resume", "--json", cwd=begun)
    assert again.returncode == 0, again.stderr
    assert "1 cells, 1 of them done" in again.stderr


def test_add_ons_go_on_top_of_it(begun):
    mine = plugins.read([begun / "my_method.py"])
    card = find_strategy("my_method+replay", mine)
    assert card.stores == "one vector per label; a buffer of pairs"
    strategy = load_strategy("my_method+replay", mine)
    assert {"scale", "replay_size"} <= set(strategy.Settings.model_fields)


def test_one_file_by_two_ways_is_one_plugin(begun, monkeypatch):
    (begun / "sub").mkdir()
    monkeypatch.chdir(begun)
    mine = plugins.read(["my_method.py", "sub/../my_method.py", begun / "my_method.py"])
    assert [plugin.name for plugin in mine.of("strategy")] == ["my_method"]


def test_a_plugin_is_known_only_where_it_was_named(begun):
    mine = plugins.read([begun / "my_method.py"])
    assert find_strategy("my_method", mine).origin
    with pytest.raises(ContsymError, match="my_method"):
        find_strategy("my_method")


def test_listing_does_not_run_the_file(tmp_path):
    (tmp_path / "mine.py").write_text(f'"""Mine."""\n{CARD}raise SystemExit("it ran")\n')
    done = contsym_here("list", "strategies", "--plugin", "mine.py", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["strategies"]["mine"] == {
        "name": "mine",
        "summary": "Mine.",
        "inputs": "pair",
        "labels": "any",
        "source": "s",
        "trains": "t",
        "stores": "u",
        "grows": None,
        "family": "yours",
        "origin": "mine.py",
    }


# -- What a result is made with --


def test_the_key_follows_the_source_and_not_its_place(begun, toy, tiny_encoder_folder):
    def key(file):
        config = toy_config(toy, tiny_encoder_folder, begun / "out", "my_method", "wikidata_only")
        return key_of(prepare(replace(config, plugins=(str(file),))), 0)

    file, moved, changed = (begun / place / "my_method.py" for place in ("", "moved", "changed"))
    text = file.read_text("utf-8")
    for path, words in ((moved, text), (changed, text.replace("10.0", "20.0"))):
        path.parent.mkdir()
        path.write_text(words, "utf-8")
    first = key(file)
    assert key(moved) == first
    assert key(changed) != first


def test_spaces_in_a_name_are_another_spelling_of_it(begun, toy, tiny_encoder_folder):
    def plan(strategy):
        config = toy_config(toy, tiny_encoder_folder, begun / "out", strategy, "wikidata_only")
        return prepare(replace(config, plugins=(str(begun / "my_method.py"),)))

    spaced = plan("my_method + replay")
    assert key_of(spaced, 0) == key_of(plan("my_method+replay"), 0)
    assert [p.name for p in spaced.plugins.of_run("my_method + replay", "wikidata_only")] == ["my_method"]


def test_what_runs_is_the_text_that_was_hashed(begun):
    file = begun / "my_method.py"
    read = plugins.read([file])
    text = file.read_text("utf-8")
    file.write_text("raise ValueError('edited while the run was prepared')")
    assert load_strategy("my_method", read).__name__ == "MyMethod"
    file.write_text(text.replace("class MyMethod", "class Other"), "utf-8")
    assert load_strategy("my_method", plugins.read([file])).__name__ == "Other"


# -- Of an installed package --


@pytest.fixture
def site(begun):
    """A folder of an installed package that offers a strategy and a scenario, as pip would leave it."""
    site = begun / "site"
    package, info = site / "demo_methods", site / "demo_methods-1.2.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text("import sys\nprint('imported', file=sys.stderr)\n")
    (package / "cosine.py").write_text((begun / "my_method.py").read_text("utf-8"), "utf-8")
    (package / "stream.toml").write_text((begun / "my_scenario.toml").read_text("utf-8"), "utf-8")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: demo-methods\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(
        "[contsym.strategies]\ndemo_cosine = demo_methods.cosine:MyMethod\n"
        "[contsym.scenarios]\ndemo_stream = demo_methods:stream.toml\n"
    )
    return site


def with_site(*arguments, site):
    path = os.pathsep.join(map(str, (site, ROOT)))
    return contsym(*arguments, cwd=site, PYTHONPATH=path)


def test_an_installed_package_is_listed_without_importing_it(site):
    done = with_site("list", site=site)
    assert done.returncode == 0
    assert done.stderr == ""
    assert re.search(r"\n  your own\n  demo_cosine +One learned vector per label", done.stdout)
    assert "stores: one vector per label · from demo-methods 1.2\n" in done.stdout
    assert re.search(r"\n  demo_stream +MNLI first, then Wikidata pairs\.\n", done.stdout)


@pytest.mark.slow
def test_an_installed_package_runs_and_its_other_files_count(
    site, toy, tiny_encoder_folder, mlflow_template, fork
):
    def run(output, start):
        (site / output).mkdir()
        shutil.copy(mlflow_template, site / output / "mlflow.db")
        done = start(
            *("run", "--strategy", "demo_cosine", "--scenario", "demo_stream", *sources(toy), *QUICK),
            *("--encoder", tiny_encoder_folder, "--no-curve", "--output", output),
            site=site,
        )
        assert done.returncode == 0, done.stderr
        assert "imported" in done.stderr
        (seed,) = stored_results(site / output)
        return seed

    def forked(*words, site):
        """A process that has the package as its path says, and need not import torch."""
        program = (
            f"import os, sys\nos.chdir({str(site)!r})\nsys.path.insert(0, {str(site)!r})\n"
            "from contsym.cli import main\nmain()"
        )
        return fork.run([sys.executable, "-c", program, *map(str, words)])

    first = run("first", with_site)
    assert [(p.name, p.origin) for p in first.plugins] == [
        ("demo_cosine", "demo-methods 1.2"),
        ("demo_stream", "demo-methods 1.2"),
    ]
    # A file that the strategy may import is part of what it is.
    (site / "demo_methods" / "helper.py").write_text("SCALE = 2\n")
    second = run("second", forked)
    assert second.loss == first.loss
    assert second.key != first.key
    assert second.plugins[0].sha256 != first.plugins[0].sha256
    assert second.plugins[1] == first.plugins[1]


def test_an_entry_point_to_nothing_names_the_package(site):
    (site / "demo_methods" / "cosine.py").unlink()
    done = with_site("list", site=site)
    assert done.returncode == 2
    assert done.stderr == (
        "error: plug-in demo_cosine of demo-methods 1.2: demo_methods.cosine:MyMethod is not there; mend its entry "
        "point in contsym.strategies, or uninstall the package\n"
    )


def test_an_installed_name_may_not_be_contsyms(site):
    entry_points = site / "demo_methods-1.2.dist-info" / "entry_points.txt"
    entry_points.write_text("[contsym.strategies]\nridge = demo_methods.cosine:MyMethod\n")
    done = with_site("list", site=site)
    assert done.returncode == 2
    assert done.stderr == (
        "error: plug-in demo-methods 1.2: strategy 'ridge' is already that of contsym; give it another name\n"
    )


def test_an_installed_name_may_not_be_a_files(site, begun):
    (begun / "demo_cosine.py").write_text(f'"""Mine."""\n{CARD}')
    done = with_site("list", "--plugin", "../demo_cosine.py", site=site)
    assert done.returncode == 2
    assert done.stderr == (
        "error: plug-in demo-methods 1.2: strategy 'demo_cosine' is already that of ../demo_cosine.py; "
        "give it another name\n"
    )


# -- Mistakes --

MINE = '"""Mine."""\n'


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (
            "knn_fixed.py",
            MINE + CARD,
            "strategy 'knn_fixed' is already that of contsym; give it another name",
        ),
        ("replay.py", MINE + CARD, "strategy 'replay' is already that of contsym; give it another name"),
        (
            "mine.py",
            MINE,
            'no CARD; expected CARD = {"source": ..., "trains": ..., "stores": ...}',
        ),
        ("mine.py:1", CARD, "no docstring; expected one whose first line says what it is"),
        (
            "mine.py:2",
            MINE + CARD.replace("stores", "store"),
            "CARD: 'store' is unknown; did you mean stores or source?",
        ),
        (
            "mine.py:2",
            MINE + 'CARD = {"source": "s", "trains": "t"}',
            "CARD: stores is missing; expected source, trains, stores",
        ),
        ("mine.py:2", MINE + CARD.replace('"u"', "3"), "CARD: stores is 3; expected a text"),
        (
            "mine.py:2",
            MINE + CARD.replace("}", ', "grows": "pair"}'),
            "CARD: grows 'pair' is unknown; did you mean pairs?",
        ),
        (
            "mine.py:2",
            MINE + CARD.replace('"t"', '"t", "half\\ud800": "h"'),
            "CARD: a key is 'half\\ud800'; expected valid Unicode text",
        ),
        (
            "mine.py:2",
            MINE + "CARD = dict(source='s')",
            "CARD is not read from a plain dict of texts; expected a literal",
        ),
        ("mine.py:3", MINE + CARD + "def f(:", "not Python (invalid syntax)"),
        (
            "order.toml",
            'summary = "S."\n[[experience]]\ntask = "mnli"\n',
            "scenario 'order' is already that of contsym; give it another name",
        ),
    ],
)
def test_a_file_that_is_no_plugin_is_told_in_one_line(file, text, message, tmp_path):
    name = file.split(":")[0]
    (tmp_path / name).write_text(text)
    done = contsym_here("list", "--plugin", name, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: plug-in {file}: {message}\n"
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            "gone.py",
            "plug-in gone.py: cannot be read (No such file or directory); expected a .py or .toml file",
        ),
        ("bytes.py", "plug-in bytes.py: cannot be read (not UTF-8); expected a .py or .toml file"),
        (
            "mine.txt",
            "--plugin mine.txt: expected a strategy's .py file, or the .toml file of a scenario or a task",
        ),
        (
            "my-method.py",
            "--plugin my-method.py: the file's name is that of the strategy, scenario or task; expected letters, digits "
            "and _, as my_own.py",
        ),
    ],
)
def test_a_file_that_cannot_be_one_is_told_in_one_line(given, message, tmp_path):
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe")
    for command in (("list",), ("check", "mine")):
        done = contsym_here(*command, "--plugin", given, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr == f"error: {message}\n"


def test_two_files_may_not_have_one_name(tmp_path):
    (tmp_path / "sub").mkdir()
    for path in ("mine.py", "sub/mine.py"):
        (tmp_path / path).write_text(MINE + CARD)
    done = contsym_here("list", "--plugin", "mine.py", "--plugin", "sub/mine.py", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: --plugin sub/mine.py: strategy 'mine' is already that of mine.py; expected names that differ; "
        "rename one of the files\n"
    )


STRATEGY = "from contsym.strategies.base import Strategy\n"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "import no_such_library\n",
            ":3: cannot be imported (ModuleNotFoundError: No module named 'no_such_library')",
        ),
        ("\nraise SystemExit(3)\n", ":4: cannot be imported (SystemExit: 3)"),
        ("def f():\n    1 / 0\nf()\n", ":4: cannot be imported (ZeroDivisionError: division by zero)"),
        ("", ": 0 subclasses of Strategy; expected one, the method"),
        (STRATEGY, ": 0 subclasses of Strategy; expected one, the method"),
        (
            STRATEGY + "class A(Strategy): pass\nclass B(Strategy): pass\n",
            ": 2 subclasses of Strategy; expected one, the method",
        ),
        (
            STRATEGY + "class A(Stratgy): pass\n",
            ":4: cannot be imported (NameError: name 'Stratgy' is not defined; did you mean Strategy?)",
        ),
        (
            "import torch\ntorch.tensr\n",
            ":4: cannot be imported (AttributeError: module 'torch' has no attribute 'tensr'; did you mean tensor?)",
        ),
        (
            STRATEGY + "class A(Strategy):\n    def beginn(self, n): pass\n",
            ": method beginn of A overrides nothing and is not called; did you mean begin?",
        ),
        (
            STRATEGY + "class A(Strategy):\n    @property\n    def n_stored_byte(self): return 0\n",
            ": method n_stored_byte of A overrides nothing and is not called; did you mean n_stored_bytes?",
        ),
        (
            "from contsym.strategies.base import Strategy, TrainingSettings\n"
            "class A(Strategy):\n    class Settings(TrainingSettings):\n        pull: float\n",
            ": setting pull has no default; expected Field(default, description=...)",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_with_its_line(body, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "contsym_plugin_mine", raising=False)
    (tmp_path / "mine.py").write_text(MINE + CARD + body)
    with pytest.raises(ContsymError) as caught:
        load_strategy("mine", plugins.read(["mine.py"]))
    assert str(caught.value) == f"plug-in mine.py{message}"
    # A module that could not be imported to its end is not left behind.
    assert ("contsym_plugin_mine" in sys.modules) == ("cannot be imported" not in message)


def test_a_helper_is_no_misspelt_hook(tmp_path):
    """One that is called, one beside the hook of nearly its name, one that is private; and all that contsym has."""
    mine = tmp_path / "mine.py"
    mine.write_text(
        f"{MINE}{CARD}{STRATEGY}class A(Strategy):\n"
        "    def fit(self, pairs): self.features_of(pairs)\n    def features_of(self, pairs): pass\n"
        "    def score(self, pairs): pass\n    def scores(self, pairs): pass\n    def _beginn(self, n): pass\n"
    )
    assert load_strategy("mine", plugins.read([mine])).__name__ == "A"
    for name in strategies():
        path = ROOT / "contsym" / "strategies" / f"{name}.py"
        own = plugins.Plugin("strategy", name, str(path), path, path.read_text("utf-8"))
        check_class(load_strategy(name), own)


def test_a_run_whose_plugin_cannot_be_imported_ends_with_code_2(tmp_path, toy, tiny_encoder_folder):
    (tmp_path / "mine.py").write_text(f"{MINE}{CARD}import no_such_library\n")
    done = contsym_here(
        *("run", "--strategy", "mine", "--plugin", "mine.py", "--scenario", "wikidata_only"),
        *("--wikidata", toy["wikidata"], "--encoder", tiny_encoder_folder),
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "error: plug-in mine.py:3: cannot be imported (ModuleNotFoundError: No module named 'no_such_library')\n"
    )


def test_a_plugin_that_is_here_and_was_not_named_is_pointed_at(tmp_path):
    (tmp_path / "mine.py").write_text('"""Mine."""\nCARD = {"source": "s", "trains": "t", "stores": "u"}\n')
    done = contsym_here("run", "--strategy", "mine", "--scenario", "wikidata_only", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (
        2, "error: strategy 'mine' is unknown; if mine.py is meant, add --plugin mine.py\n",
    )  # fmt: skip


def test_a_byte_order_mark_of_an_editor_is_no_mistake(tmp_path):
    for name, text in (("mine.toml", 'summary = "x"\nlabels = ["a", "b"]\n'), ("own.py", "CARD = {}\n")):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
    found = plugins.read([str(tmp_path / "mine.toml"), str(tmp_path / "own.py")])
    assert [plugin.text[0] for plugin in found.named] == ["s", "C"]
