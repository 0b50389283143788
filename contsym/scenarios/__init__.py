"""Sequences of tasks: one TOML file each, built into an Avalanche benchmark by build.py."""
