"""The Python interface: what `import contsym` offers, and what the command line calls."""
