"""Protonet: what it keeps, and that its prototypes are those of every experience."""

import torch

from tests.runs import one_seed


def test_one_prototype_a_label_is_kept_of_all_experiences(toy, tiny_encoder_folder, tmp_path):
    kept = {}
    for mode in ("refresh", "stale"):
        result, _, tensors = one_seed(
            toy,
            tiny_encoder_folder,
            tmp_path,
            "protonet",
            "mnli_then_wikidata",
            settings={"steps": "8", "memory": mode},
            curve=False,
            audit=False,
        )
        kept[mode] = tensors["memory.embeddings"]
        assert tensors["memory.labels"].tolist() == [0, 1, 2]
        assert result.cost.stored_bytes == 3 * (32 * 4 + 8)
    # Neutral is MNLI's alone: after Wikidata its prototype has moved with the encoder, or stayed.
    assert not torch.allclose(kept["refresh"][1], kept["stale"][1], atol=1e-3)
