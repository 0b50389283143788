"""One method a file; base.py holds the contract and the seam to Avalanche."""
