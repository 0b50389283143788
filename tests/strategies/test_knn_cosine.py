"""The plain cosine: one number per pair, and no direction."""

import torch

from tests.runs import config, one_seed
from tests.toy import NAMES


def test_a_pair_is_stored_as_one_cosine(toy, tiny_encoder_folder, tmp_path):
    result, _, tensors = one_seed(
        toy, tiny_encoder_folder, tmp_path, "knn_cosine", settings={"steps": "2"}, curve=False, audit=False
    )
    n = len(tensors["memory.labels"])
    assert tensors["memory.embeddings"].shape == (n, 1)
    assert tensors["memory.embeddings"].abs().max() <= 1 + 1e-6
    assert result.cost.stored_bytes == n * (4 + 8)


def test_it_answers_both_directions_alike_where_division_need_not(toy, tiny_encoder_folder, tmp_path):
    from datasets import Dataset

    from contsym.training.loop import SeedRun
    from contsym.training.parts import training_part
    from contsym.training.plan import prepare
    from contsym.training.progress import Silent

    texts = [f"{a} is near {b}" for a in NAMES[:6] for b in NAMES[6:]]
    other = [f"{b} likes {a}" for a in NAMES[:6] for b in NAMES[6:]]
    outputs = {}
    for strategy in ("knn_cosine", "knn_fixed"):
        plan = prepare(config(toy, tiny_encoder_folder, tmp_path, strategy, audit=False, curve=False))
        run = SeedRun(plan, [training_part(task, plan.config, 0) for task in plan.tasks], 0, Silent())
        model = run.strategy.model
        outputs[strategy] = [
            model.outputs(Dataset.from_dict({"premise": p, "hypothesis": h}))
            for p, h in ((texts, other), (other, texts))
        ]
    forth, back = outputs["knn_cosine"]
    assert torch.equal(forth, back)
    assert forth.std() > 0
    forth, back = outputs["knn_fixed"]
    assert not torch.allclose(forth, back, atol=0.1)
