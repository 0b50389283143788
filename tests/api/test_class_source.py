"""A strategy that was defined in a notebook becomes a file that any process can use."""

import linecache

import pytest
import torch

import contsym
from contsym.api import inputs
from contsym.api.class_source import module_text
from contsym.errors import ContsymError

pytestmark = pytest.mark.usefixtures("untracked")

CELL = '''
import torch
from torch.nn import functional as F
from contsym.models.heads import PairClassifier as Head
from contsym.models.settings import TrainingSettings

SMOOTHING = 0.1

def loss(output, labels):
    return F.cross_entropy(output, labels, label_smoothing=SMOOTHING)

class MyMethod(contsym.Strategy):
    """A head with smoothed labels."""

    class Settings(TrainingSettings):
        pass

    def build(self, encoder, n_labels, generator):
        return Head(encoder.dim, n_labels, generator)

    def objective(self, output, labels):
        return loss(output, labels) + 0 * torch.zeros(())
'''


HELPERS = """
import functools
from dataclasses import dataclass
import torch
from torch import max

@dataclass
class Config:
    smoothing: float = 0.1

@functools.lru_cache
def rate(n):
    return 2 * n
"""
METHOD = '''
class MyMethod(contsym.Strategy):
    """It says "yes" """

    @torch.no_grad()
    def build(self, encoder, n_labels, generator):
        return None

    def objective(self, output, labels):
        return max(output) * Config().smoothing * rate(1)
'''


def run_cell(text, name="<cell 1>", **given):
    """Run a text as a notebook runs a cell: its lines are in linecache alone."""
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    scope = {"__name__": "__main__", "contsym": contsym, **given}
    exec(compile(text, name, "exec"), scope)
    return scope


def test_the_file_has_all_that_the_class_uses():
    text = module_text(run_cell(CELL)["MyMethod"])
    scope = {"__name__": "my_method"}
    exec(compile(text, "my_method.py", "exec"), scope)
    assert scope["MyMethod"].__doc__ == "A head with smoothed labels." == scope["__doc__"]
    assert scope["loss"].__globals__["SMOOTHING"] == 0.1


def test_a_class_of_a_cell_trains_and_its_source_is_part_of_the_key(toy, tiny_encoder_folder, tmp_path):
    options = {"output": tmp_path, "encoder": tiny_encoder_folder, "wikidata": toy["wikidata"], "shots": 8}
    options |= {"settings": {"steps": 3, "learning_rate": 1e-3}, "protocol": "sequential"}
    smoothed, plain = (
        contsym.run(run_cell(text)["MyMethod"], "wikidata_only", **options)
        for text in (CELL, CELL.replace("SMOOTHING = 0.1", "SMOOTHING = 0.0"))
    )
    again = contsym.run(run_cell(CELL, "<cell 7>")["MyMethod"], "wikidata_only", **options)
    (one,), (other,), (same,) = smoothed.results, plain.results, again.results
    assert one.strategy == "my_method" and one.key == same.key != other.key
    assert one.loss != other.loss


def test_decorators_classes_without_methods_and_names_of_builtins_are_found():
    text = module_text(run_cell(HELPERS + METHOD, "<cell 3>")["MyMethod"])
    written = {"__name__": "__main__"}
    exec(compile(text, "my_method.py", "exec"), written)
    assert written["__doc__"] == 'It says "yes"'
    assert written["Config"]().smoothing == 0.1 and written["rate"](2) == 4
    assert written["max"] is torch.max


def test_a_class_without_methods_is_found_in_a_cell_of_its_own():
    helpers = run_cell(HELPERS, "<cell 4>")
    text = module_text(run_cell(METHOD, "<cell 5>", **helpers)["MyMethod"])
    assert "@dataclass\nclass Config:" in text and "@functools.lru_cache\ndef rate(n):" in text


def test_what_cannot_be_written_down_is_named():
    cell = CELL.replace("SMOOTHING = 0.1", "")
    with pytest.raises(
        ContsymError, match="strategy MyMethod uses SMOOTHING, a object; expected modules, functions"
    ):
        module_text(run_cell(cell, SMOOTHING=object())["MyMethod"])
    with pytest.raises(ContsymError, match="its source cannot be found"):
        module_text(type("Typed", (contsym.Strategy,), {"build": lambda self: None}))


def test_a_strategy_of_contsym_is_its_name(tmp_path):
    from contsym.strategies.knn_fixed import KnnFixed

    assert inputs.strategy(KnnFixed, tmp_path) == ("knn_fixed", ())
