"""50 documents to each reader, 2,000 in those of the night: a line for what is wrong, and never anything else.

`python -m benchmarks.fuzz` does the same with 100,000.
"""

import os

import pytest

from tests.fuzz import documents
from tests.fuzz.readers import READERS, Reader
from tests.fuzz.trial import Hang, Trial, at_most, try_document, try_reader

N = int(os.environ.get("CONTSYM_FUZZ_INPUTS", "2000"))
N_FAST = 50
SEED = 20260102


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy of a mean over nothing; no figure comes of it
@pytest.mark.parametrize(
    ("name", "n"),
    [
        *(
            pytest.param(name, N_FAST, marks=[pytest.mark.slow] if reader.is_slow else [])
            for name, reader in READERS.items()
        ),
        *(pytest.param(name, N // reader.share, marks=pytest.mark.night) for name, reader in READERS.items()),
    ],
)
def test_a_reader_gives_a_line_or_what_it_read(name, n, capsys):
    trial = try_reader(name, n, SEED)
    with capsys.disabled():
        print(f" {trial.n:,} documents, {trial.n_taken:,} read", end=" ")
    assert trial.failures == []
    assert trial.n == n
    # Of a few documents the parser may let none pass, and of a manifest the data are not there.
    if n > N_FAST and name != "manifest":
        assert trial.n_taken > n / 100, "hardly a document came past the parser"
    assert trial.refusals, "nothing was wrong"


# The trial itself: what it must not let pass.


def misread(monkeypatch, tmp_path, read):
    monkeypatch.setitem(READERS, "toy", Reader(documents.jsonl, "toy.txt", read, ()))
    trial = Trial("toy")
    try_document(trial, b"x", tmp_path)
    return trial


def test_a_reader_that_raises_anything_else_fails_once_a_kind(monkeypatch, tmp_path):
    trial = misread(monkeypatch, tmp_path, lambda path: path.read_text("utf-8")[5])
    try_document(trial, b"y", tmp_path)
    assert trial.n == 2
    ((document, said),) = trial.failures
    assert document == b"x" and said.startswith("IndexError at ")


def test_a_reader_that_hangs_fails(monkeypatch, tmp_path):
    from tests.fuzz import trial as trials

    def hang(_):
        while True:
            try:
                sum(range(1000))
            except Exception:  # nothing that a reader catches gets it out of here
                continue

    monkeypatch.setattr(trials, "SECONDS", 0.2)
    trial = misread(monkeypatch, tmp_path, hang)
    assert trial.failures[0][1].startswith("Hang at ")


def test_the_time_limit_is_lifted_behind_it():
    from time import sleep

    with pytest.raises(Hang), at_most(0.01):
        sleep(60)
    with at_most(0.01):
        pass
    sleep(0.02)


def test_the_same_seed_draws_the_same_documents():
    first, again, other = (try_reader("scenario", 40, seed).refusals for seed in (7, 7, 8))
    assert first == again != other
