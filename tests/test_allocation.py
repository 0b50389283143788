"""The environment with which a process that trains begins."""

import os
import platform
import subprocess
import sys

import pytest

from contsym import __main__ as command
from contsym import allocation
from contsym.sweep.executors import worker_environment

WANTED = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1073741824:"
    "glibc.malloc.trim_threshold=1073741824"
}


@pytest.fixture
def glibc(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)


def test_a_process_is_told_where_its_c_library_listens(glibc):
    assert allocation.variables() == WANTED
    assert worker_environment(1)["GLIBC_TUNABLES"] == WANTED["GLIBC_TUNABLES"]


@pytest.mark.parametrize("library", [("glibc", "2.34"), ("", ""), ("libc", "6")])
def test_another_c_library_is_told_nothing(glibc, monkeypatch, library):
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    assert allocation.variables() == {}


def test_what_the_user_has_set_stays(glibc, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=1")
    assert allocation.variables() == {}
    assert "GLIBC_TUNABLES" not in worker_environment(1)


@pytest.mark.parametrize(("verb", "is_restarted"), [("run", True), ("list", False)])
def test_what_trains_begins_again_with_it_once(glibc, monkeypatch, verb, is_restarted):
    began = []
    monkeypatch.setattr(os, "execve", lambda *given: began.append(given))
    monkeypatch.setattr(command, "main", lambda: None)
    monkeypatch.setattr(sys, "argv", ["contsym", verb])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-W", "ignore", "-m", "contsym", verb])
    command.start()
    assert len(began) == is_restarted
    for program, arguments, environment in began:
        assert (program, arguments) == (
            sys.executable,
            [sys.executable, "-W", "ignore", "-m", "contsym", verb],
        )
        monkeypatch.setenv("GLIBC_TUNABLES", environment["GLIBC_TUNABLES"])
        command.start()
    assert len(began) == is_restarted


def test_the_command_itself_runs_so():
    done = subprocess.run(
        [sys.executable, "-m", "contsym", "run", "--help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: ")
