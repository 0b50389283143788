"""The environment with which a worker of a sweep begins."""

import os
import platform
import subprocess
import sys

import pytest

from contsym.machine import variables
from contsym.sweeps.engines.base import worker_environment

WANTED = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1073741824:"
    "glibc.malloc.trim_threshold=1073741824"
}


@pytest.fixture
def glibc(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)


def test_a_process_gets_the_variables_of_its_c_library(glibc):
    assert variables() == WANTED
    assert worker_environment(1)["GLIBC_TUNABLES"] == WANTED["GLIBC_TUNABLES"]


@pytest.mark.parametrize("library", [("glibc", "2.34"), ("", ""), ("libc", "6")])
def test_another_c_library_gets_nothing(glibc, monkeypatch, library):
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    assert variables() == {}


def test_what_the_user_has_set_stays(glibc, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")
    assert variables() == {}
    assert "GLIBC_TUNABLES" not in worker_environment(1)


TOLD = "import os; print(os.environ.get('GLIBC_TUNABLES'))"


@pytest.mark.skipif(not variables(), reason="this system has another C library, or the variable is set")
def test_a_real_process_has_it():
    environment = os.environ | worker_environment(1)
    words = [sys.executable, "-c", TOLD]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == WANTED["GLIBC_TUNABLES"]
