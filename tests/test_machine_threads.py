"""How threads wait: set before torch is imported, wherever work is done, and never against the user."""

import os
import subprocess
import sys

import pytest

from contsym.machine import waiting
from contsym.sweeps.engines.base import worker_environment


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
        # From Python, where it is put back afterwards.
        pytest.param(
            "from contsym.training.plan import prepare; from contsym.config import RunConfig\n"
            "prepare(RunConfig('knn_fixed', 'wikidata_only', encoder=sys.argv[1], output=sys.argv[2], audit=False))\n"
            "assert 'GOMP_SPINCOUNT' not in os.environ",
            marks=pytest.mark.slow,
        ),
        # Any command, one that trains without asking for it (pretrain) included.
        "import contsym.cli; sys.argv = ['contsym', 'pretrain', '--to', '.']\n"
        "try: contsym.cli.main()\nexcept SystemExit: pass\nimport torch",
    ],
)
def test_it_is_set_before_torch_is_imported(code, tiny_encoder_folder, tmp_path):
    # How OpenMP takes it is shown by benchmarks/waiting.py.
    spy = (
        "import os, sys\nseen = []\nclass Spy:\n"
        " def find_spec(self, name, *_):\n"
        "  if name == 'torch': seen.append(os.environ.get('GOMP_SPINCOUNT'))\n"
        "sys.meta_path.insert(0, Spy())\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"{spy}{code}\nassert set(seen) == {{'1000'}}, seen",
            str(tiny_encoder_folder),
            str(tmp_path),
        ],
        check=True,
        env=environment,
    )
