"""`python -m contsym` is the same as `contsym`."""

from __future__ import annotations

from contsym.cli import main

if __name__ == "__main__":
    main()
