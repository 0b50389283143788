"""One method per file; base.py holds the contract."""
