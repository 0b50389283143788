"""How threads wait: set before torch is imported, wherever work is done, and never against the user."""

import subprocess
import sys

import pytest

from contsym.machine import waiting
from contsym.sweep.engines.base import worker_environment


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch):
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)


def test_threads_sleep_soon():
    assert waiting() == {"GOMP_SPINCOUNT": "1000"}
    assert worker_environment(1)["GOMP_SPINCOUNT"] == "1000"


@pytest.mark.parametrize(("name", "value"), [("GOMP_SPINCOUNT", "7"), ("OMP_WAIT_POLICY", "ACTIVE")])
def test_threads_wait_as_the_user_has_set(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert waiting() == {name: value}
    assert {k: v for k, v in worker_environment(1).items() if k in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")} == {
        name: value
    }


@pytest.mark.parametrize(
    "code",
    [
        # From Python: prepare() fails on the name, after the threads and before torch.
        "from contsym.training.plan import prepare; from contsym.config import RunConfig\n"
        "try: prepare(RunConfig('no_such_method', 'wikidata_only'))\nexcept Exception: pass",
        # Any command, one that trains without asking for it (pretrain) included.
        "import contsym.cli; sys.argv = ['contsym', 'pretrain', '--out', '.']\n"
        "try: contsym.cli.main()\nexcept SystemExit: pass",
    ],
)
def test_it_is_set_before_torch_is_imported(code):
    # How OpenMP takes it is shown by benchmarks/waiting.py.
    check = "assert os.environ['GOMP_SPINCOUNT'] == '1000' and 'torch' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", f"import os, sys\n{code}\n{check}"], check=True, capture_output=True
    )
