"""`python -m contsym` is the same as `contsym`."""

from contsym.cli import main

if __name__ == "__main__":
    main()
