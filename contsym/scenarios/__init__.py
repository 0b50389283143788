"""Sequences of tasks: one TOML file each, and their Avalanche benchmark."""
