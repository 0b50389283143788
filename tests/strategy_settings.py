"""The settings each strategy is tested with: a new strategy needs one line here, and no more."""

SETTINGS: dict[str, dict[str, str]] = {
    "cloze": {"learning_rate": "3e-3"},
    "fine_tune": {"learning_rate": "3e-3"},
    "frozen_probe": {"learning_rate": "3e-2"},
    "knn_cosine": {"learning_rate": "3e-3"},
    "knn_fixed": {"learning_rate": "3e-3"},
    "knn_learned": {"learning_rate": "3e-3"},
    "ncm": {},
    "nli_head": {"learning_rate": "3e-3"},
    "prompt_llm": {"k": "2"},
    "protonet": {"learning_rate": "3e-3"},
    "random_labels": {"learning_rate": "3e-3"},
    "ridge": {},
    "routed_adapters": {"learning_rate": "3e-3"},
    "setfit": {"learning_rate": "3e-3"},
    "slda": {},
    "text_labels": {"learning_rate": "3e-3"},
    "zero_shot": {},
}

ENCODERS: dict[str, str] = {
    "cloze": "tiny_masked_lm_folder",
    "nli_head": "tiny_nli_folder",
    "prompt_llm": "tiny_causal_folder",
}
"""The fixture with the checkpoint that a strategy needs, where the tiny BERT does not do."""
