"""The measures of benchmarks/speed.py, one module each; each says what it compares and how equal results are made sure of."""
