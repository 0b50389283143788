"""What changed between two checkpoints: their abilities, their states and their weights."""

LIMIT = 1000
"""Pairs of a task that are answered, and as many that are only learned from; the seed draws them from more."""
