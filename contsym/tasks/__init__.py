"""Tasks: one TOML file each, which says where the examples are and what their labels mean."""
