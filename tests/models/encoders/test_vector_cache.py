"""Kept encodings are shared by those alone who would make the same ones, and their folder is bounded."""

import os
import subprocess
import sys

import pytest
import torch

from contsym.errors import SettingError
from contsym.files import bound
from contsym.models.encoders.checkpoints import locate
from contsym.models.encoders.load import load
from contsym.models.encoders.vector_cache import FILE, LIMIT, UntrainedEncodings, limit_bytes
from tests.models.encoders.checked_cache import CheckedCache, vectors

PAIRS = [("anna is near ben", "ben is near anna"), ("anna", "ben")]


def test_a_checkpoints_head_and_its_pooled_states_are_separate_entries(tiny_nli_folder, tmp_path):
    shared = UntrainedEncodings(tmp_path / "encodings", [])
    pooled, classifier, again = (
        load(locate(str(tiny_nli_folder)), head=head) for head in ("none", "nli", "none")
    )
    for encoder in (pooled, classifier, again):
        encoder.cache = shared
    vectors = pooled.encode(PAIRS)
    assert vectors.shape == (2, 32)
    assert classifier.encode(PAIRS).shape == (2, 3)
    assert torch.equal(again.encode(PAIRS), vectors)
    # Two entries for three readers.
    assert len(list(shared.folder.iterdir())) == 2


N_BYTES = 4 * 1024
"""Of the vectors of one entry in these tests; a file has a header of some 100 bytes more."""


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def small(monkeypatch, tmp_path):
    """A folder with room for three entries."""
    monkeypatch.setenv(LIMIT, str(3.5 * N_BYTES / 2**30))
    return tmp_path / "encodings"


def test_the_folder_stays_below_its_bound(small):
    cache = CheckedCache(small)
    for text in map(str, range(8)):
        cache.ask(text)
        assert size(small) <= 3.5 * N_BYTES
        cache.ask(text)  # what was made last is there
    assert cache.made == [str(n) for n in range(8)]
    assert len(list(small.iterdir())) == 3


def test_the_least_recently_used_leaves_first(small):
    cache = CheckedCache(small)
    for age, text in enumerate("123"):
        cache.ask(text)
        # Clocks of file systems may be coarse: the entries were made an hour apart, long ago.
        (newest,) = [p for p in small.glob(f"*/{FILE}") if p.stat().st_mtime > 1e6]
        os.utime(newest, (3600 * age, 3600 * age))
    cache.ask("1")
    cache.ask("4")
    assert cache.made == ["1", "2", "3", "4"]
    cache.made.clear()
    for text in "134":
        cache.ask(text)
    assert cache.made == []
    cache.ask("2")
    assert cache.made == ["2"]


def test_an_entry_larger_than_the_bound_drives_nothing_out(small):
    cache = CheckedCache(small)
    cache.ask("1")
    cache.get(["long"], lambda: torch.zeros(5 * 1024), "test")
    cache.ask("1")
    assert cache.made == ["1"]
    assert len(list(small.iterdir())) == 1


def test_nothing_is_stored_where_the_bound_is_zero(small, monkeypatch):
    monkeypatch.setenv(LIMIT, "0")
    cache = CheckedCache(small)
    cache.ask("1")
    cache.ask("1")
    assert cache.made == ["1", "1"]
    assert not small.exists()


def test_vectors_in_use_outlive_their_entry(small):
    cache = CheckedCache(small)
    cache.ask("5")
    found = cache.ask("5")
    assert cache.made == ["5"]
    bound(small, 0, FILE)
    assert list(small.iterdir()) == []
    assert torch.equal(found, vectors("5"))
    cache.ask("5")
    assert cache.made == ["5", "5"]


@pytest.mark.parametrize(("given", "expected"), [("", 4 * 2**30), ("0.5", 2**29), (" 2 ", 2**31), ("0", 0)])
def test_the_bound_is_read(given, expected, monkeypatch):
    monkeypatch.setenv(LIMIT, given)
    assert limit_bytes() == expected


@pytest.mark.parametrize("given", ["4GB", "-1", "nan", "inf"])
def test_a_bound_that_is_none_is_refused(given, monkeypatch):
    monkeypatch.setenv(LIMIT, given)
    with pytest.raises(SettingError) as error:
        limit_bytes()
    assert str(error.value) == (
        f"CONTSYM_ENCODINGS_GIB={given} is not a size; expected GiB for cached vectors, as 4 or 0.5, or 0 to keep none"
    )


WORK = """
import random, sys
from pathlib import Path
from tests.models.encoders.checked_cache import CheckedCache

cache, draw = CheckedCache(Path(sys.argv[1])), random.Random(int(sys.argv[2]))
for _ in range(150):
    cache.ask(str(draw.randrange(8)))
print(len(cache.made))
"""


def test_processes_at_once_read_make_and_delete_without_disturbing_each_other(small):
    # Eight texts and room for three: nearly every question makes one process delete what another may be
    # reading. `ask` checks what comes back.
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, str(small), str(seed)], stdout=subprocess.PIPE, text=True
        )
        for seed in (1, 2)
    ]
    outputs = [worker.communicate(timeout=300)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0]
    assert all(8 <= int(text) <= 150 for text in outputs)
    assert size(small) <= 3.5 * N_BYTES
    assert not list(small.glob(".*"))
