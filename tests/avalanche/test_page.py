"""docs/avalanche.md: its example is run, its output compared, and its names are those that reach MLflow."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import environment

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "avalanche.md").read_text("utf-8")
NUMBER = re.compile(r"\d+(?:\.\d*)?")


@pytest.mark.slow
def test_the_example_prints_what_the_page_says_and_its_names_are_in_mlflow(tmp_path):
    ((program, output),) = re.findall(
        r"^```python\n(.*?)^```\n\n```\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    )
    command = [sys.executable, "-W", "ignore", "-c", program]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    assert NUMBER.sub("", done.stdout).split() == NUMBER.sub("", output).split()
    # Another processor may answer a few of the 100 test samples otherwise.
    assert list(map(float, NUMBER.findall(done.stdout))) == pytest.approx(
        list(map(float, NUMBER.findall(output))), abs=0.05
    )

    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlruns/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("points").experiment_id])
    assert (run.info.run_name, run.info.status) == ("Naive", "FINISHED")
    keys = re.findall(r"^\| `([\w/]+)` \|", PAGE, re.MULTILINE)
    assert len(keys) == 9 and set(keys) <= run.data.metrics.keys()
    params = re.findall(r"`(settings\.\w+)`", PAGE)
    assert len(params) == 5 and {*params, "strategy", "model", "device", "plugins"} <= run.data.params.keys()
