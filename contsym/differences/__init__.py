"""What changed between two checkpoints: their abilities, their states and their weights."""
