"""The command `contsym`, and `python -m contsym`."""

import sys

from contsym.allocation import start_again_with_them
from contsym.cli import main

TRAINING = ("run", "pretrain", "reproduce")
"""Verbs that train in this process; the workers of a local or Ray sweep are started with the same environment."""


def start() -> None:
    if sys.argv[1:2] and sys.argv[1] in TRAINING:
        start_again_with_them()
    main()


if __name__ == "__main__":
    start()
