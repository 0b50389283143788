"""The settings each strategy is tested with: a new strategy needs one line here, and no more."""

SETTINGS: dict[str, dict[str, str]] = {
    "fine_tune": {"learning_rate": "3e-3"},
    "knn_fixed": {"learning_rate": "3e-3"},
    "knn_learned": {"learning_rate": "3e-3"},
    "nli_head": {"learning_rate": "3e-3"},
    "random_labels": {"learning_rate": "3e-3"},
    "zero_shot": {},
}

ENCODERS: dict[str, str] = {"nli_head": "tiny_nli_folder"}
"""The fixture with the checkpoint that a strategy needs, where the tiny BERT does not do."""
