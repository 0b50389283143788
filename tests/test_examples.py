"""The notebooks of examples/ are stored as they ran, and run; so do the lines of docs/python.md."""

import re
from pathlib import Path

import nbformat
import pytest

import contsym

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_with_its_outputs(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [
        output for output in outputs if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert sum(output.output_type == "execute_result" for output in outputs) >= 3
    assert not re.search(r"/(home|root|tmp|work)/", path.read_text("utf-8"))


@pytest.mark.night
def test_the_page_runs(tmp_path, monkeypatch):
    """With two seeds and without the curve: the notebooks have the same runs whole."""
    monkeypatch.chdir(tmp_path)
    lines, n = re.subn(r"seeds=range\(3\)", "seeds=range(2), curve=False", page_lines())
    assert n
    runs_as_it_says(lines)


@pytest.mark.night
@pytest.mark.timeout(2400)
def test_the_page_and_the_notebooks_run_as_they_stand(tmp_path, monkeypatch):
    """In one folder, since they share runs; each is trained once."""
    from nbclient import NotebookClient

    monkeypatch.chdir(tmp_path)
    runs_as_it_says(page_lines())
    for path in NOTEBOOKS:
        notebook, stored = nbformat.read(path, 4), nbformat.read(path, 4)
        NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(tmp_path)}}).execute()
        assert kinds_of_outputs(notebook) == kinds_of_outputs(stored)


def page_lines():
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text("utf-8"), re.DOTALL)
    return lines


def runs_as_it_says(lines):
    scope = {}
    exec(lines, scope)
    assert scope["knn"].matrix.loc["wikidata", "wikidata"] > 0.8
    assert scope["model"].predict([("Spain borders Portugal", "Portugal borders Spain")]) == ["entailment"]
    assert contsym.load_model("symmetric-minilm").file.strategy == "knn_fixed"


def kinds_of_outputs(notebook):
    """Without what progress bars leave, which depends on where a notebook is run."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [[o.output_type for o in cell.outputs if o.output_type == "execute_result"] for cell in cells]
