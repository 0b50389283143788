"""Scores that stand in a result beside its predictions."""

import numpy as np
import pytest
import torch

from contsym.results.metrics.answers import calibration_error, probabilities
from contsym.tasks.schema import NLI_LABELS
from tests.runs import BARE, one_seed


@pytest.mark.parametrize(
    ("strategy", "kind"), [("knn_fixed", "votes"), ("protonet", "logits"), ("random_labels", "logits")]
)
def test_answers_follow_from_the_stored_scores(strategy, kind, toy, tiny_encoder_folder, tmp_path):
    short = {"settings": {"steps": "3"}, **BARE}
    result, rows, tensors = one_seed(
        toy, tiny_encoder_folder, tmp_path, strategy, "mnli_then_wikidata", **short
    )
    for j, task in enumerate(result.tasks):
        pairs, scores = [row for row in rows if row["task"] == task], tensors[f"scores.{task}"]
        assert (scores.dtype, scores.shape) == (torch.float16, (3, len(pairs), 3))
        labels = np.array([NLI_LABELS.index(row["label"]) for row in pairs])
        for i in range(3):
            predicted = np.array([NLI_LABELS.index(row[f"row_{i}"]) for row in pairs])
            # Where float16 makes two scores equal, the answer has one of them.
            assert (
                scores[i].numpy()[np.arange(len(pairs)), predicted] == scores[i].numpy().max(axis=1)
            ).all()
        answers = result.answers[task]
        confidences = probabilities(scores[2].numpy(), kind)[np.arange(len(pairs)), predicted]
        assert answers.score_kind == kind
        assert answers.final.calibration_error == calibration_error(confidences, predicted == labels)
        counts = np.bincount(predicted, minlength=3)
        assert [*answers.final.predicted.values()] == pytest.approx((counts / len(pairs)).tolist())
        assert (answers.own == answers.final) == (j == 1)


def test_the_known_head_gives_logits_where_the_method_votes(toy, tiny_encoder_folder, tmp_path):
    result, _, tensors = one_seed(
        toy,
        tiny_encoder_folder,
        tmp_path,
        "knn_fixed",
        "mnli_then_wikidata",
        settings={"steps": "2"},
        pretrain={"steps": "2"},
        protocol="retrain",
        **BARE,
    )
    assert {task: a.score_kind for task, a in result.answers.items()} == {
        "mnli": "logits",
        "wikidata": "votes",
    }
    # Nothing is trained between the first two rows.
    assert torch.equal(tensors["scores.mnli"][0], tensors["scores.mnli"][1])
