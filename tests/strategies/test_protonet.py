"""Protonet: its stored prototypes are of every experience."""

import torch

from tests.runs import one_seed


def test_one_prototype_per_label_is_stored_of_all_experiences(toy, tiny_encoder_folder, tmp_path):
    prototypes = {}
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
        prototypes[mode] = tensors["memory.embeddings"]
        assert tensors["memory.labels"].tolist() == [0, 1, 2]
        assert result.cost.stored_bytes == 3 * (32 * 4 + 8)
    # Neutral is MNLI's alone: after Wikidata its prototype has moved with the encoder, or stayed.
    assert not torch.allclose(prototypes["refresh"][1], prototypes["stale"][1], atol=1e-3)
