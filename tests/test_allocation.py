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


@pytest.fixture
def command_line(glibc, monkeypatch):
    """Sets what this process was started with, and gives the list of what it was replaced with."""
    began = []
    monkeypatch.setattr(os, "execve", lambda *given: began.append(given))
    monkeypatch.setattr(command, "main", lambda: None)

    def start(*words, before=("-W", "ignore", "-m", "contsym")):
        monkeypatch.setattr(sys, "argv", ["contsym", *words])
        monkeypatch.setattr(sys, "orig_argv", ["python", *before, *words])
        command.start()
        return began

    return start


@pytest.mark.parametrize(("verb", "is_restarted"), [("run", True), ("reproduce", True), ("list", False)])
def test_what_trains_begins_again_with_it_once(command_line, monkeypatch, verb, is_restarted):
    began = command_line(verb, "--seeds", "0")
    assert len(began) == is_restarted
    for program, arguments, environment in began:
        assert program == arguments[0] == sys.executable
        assert arguments[1:] == ["-X", "contsym_again", "-W", "ignore", "-m", "contsym", verb, "--seeds", "0"]
        assert environment["GLIBC_TUNABLES"] == WANTED["GLIBC_TUNABLES"]
    # Also where something takes the variable away again.
    monkeypatch.setitem(sys._xoptions, "contsym_again", True)
    assert len(command_line(verb)) == is_restarted


def test_a_program_that_calls_the_command_is_not_replaced(command_line, monkeypatch):
    assert command_line("run", before=("-c", "the program")) != []
    began = len(command_line("run"))
    monkeypatch.setattr(sys, "argv", ["contsym", "run", "--help"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-c", "the program"])
    command.start()
    assert len(command_line("list")) == began


def test_it_trains_where_it_cannot_begin_again(glibc, monkeypatch):
    def forbidden(*given):
        raise PermissionError("no")

    monkeypatch.setattr(os, "execve", forbidden)
    monkeypatch.setattr(sys, "argv", ["contsym", "run"])
    monkeypatch.setattr(sys, "orig_argv", ["contsym", "run"])
    allocation.start_again_with_them()


TOLD = """
import os, sys
from contsym.allocation import start_again_with_them
sys.argv = ["contsym", *sys.argv[1:]]
start_again_with_them()
print(os.environ.get("GLIBC_TUNABLES"))
"""


@pytest.mark.skipif(
    not allocation.variables(), reason="this system has another C library, or the variable is set"
)
def test_a_real_process_has_it_and_gives_up_where_it_is_taken_away(tmp_path):
    ours = {name: value for name, value in os.environ.items() if name != "GLIBC_TUNABLES"}

    def printed(**environment):
        words = [sys.executable, "-c", TOLD, "run", "--seeds", "0"]
        done = subprocess.run(
            words, env=ours | environment, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout.strip()

    assert printed() == WANTED["GLIBC_TUNABLES"]
    (tmp_path / "sitecustomize.py").write_text("import os; os.environ.pop('GLIBC_TUNABLES', None)")
    assert printed(PYTHONPATH=str(tmp_path)) == "None"
