"""The room imports nothing heavy before a name of it is used, and has the names that it lists."""

import subprocess
import sys

import pytest

import contsym.avalanche
from tests.command import environment


def test_the_room_is_imported_in_no_time():
    program = "import contsym.avalanche, sys; sys.exit('torch' in sys.modules or 'avalanche' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], env=environment()).returncode == 0


def test_it_has_what_it_lists_and_nothing_else():
    assert [
        getattr(contsym.avalanche, name).__name__ for name in contsym.avalanche.__all__
    ] == contsym.avalanche.__all__
    with pytest.raises(AttributeError, match="has no attribute 'Forgeting'"):
        contsym.avalanche.Forgeting  # noqa: B018
