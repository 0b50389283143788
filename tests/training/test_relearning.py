"""The first task learned again at the end (--relearn), and nothing else changed by it."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from contsym.data.shots import subset
from contsym.errors import SettingError
from contsym.training import relearning
from contsym.training.loop import SeedRun
from contsym.training.parts import fixed_parts
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.retrain import find_known_task
from tests.runs import toy_config, toy_run, without_time


@pytest.fixture
def finished(toy, tiny_encoder_folder, tmp_path):
    """A run that has learned all its tasks, without dropout."""

    def made(strategy, **changes):
        settings = {"steps": "8", "batch_size": "8"}
        plan = prepare(
            toy_config(
                toy, tiny_encoder_folder, tmp_path, strategy, relearn=True, settings=settings, **changes
            )
        )
        parts = [plan.training_part(task, 0) for task in plan.tasks]
        run = SeedRun(plan, parts, 0, Silent(), find_known_task(plan, 0, Silent(), None))
        for module in run.strategy.model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        while run.n_done < len(plan.tasks):
            run.train_next()
        return run

    return made


def accuracies_again(run, n_pairs):
    """Slow twin: accuracy on the first task's validation part before training on it again and after every batch."""
    strategy = copy.deepcopy(run.strategy)
    model, size = strategy.model, run.plan.settings.batch_size
    pairs = subset(run.parts[0], n_pairs, 0, "relearn")
    validation = fixed_parts(run.plan.tasks)[0]
    labels = torch.tensor(validation["label"][:])
    optimizer = torch.optim.AdamW(model.parameters(), lr=run.plan.learning_rate, weight_decay=0.0, fused=True)
    for group in optimizer.param_groups:
        group["weight_decay"] = run.plan.settings.weight_decay
    score = model.known_scores if run.start else strategy.score

    def accuracy():
        return int((score(validation).argmax(dim=1) == labels).sum()) / len(labels)

    found = [(0, accuracy())]
    for start in range(0, n_pairs, size):
        batch = pairs.select(range(start, min(start + size, n_pairs)))
        texts = [text for pair in batch for text in (pair["premise"], pair["hypothesis"])]
        model.train()
        vectors = model.encoder(model.encoder.tokenize(texts)).unflatten(0, (len(batch), 2))
        head = model.known_head if run.start else model.head
        loss = functional.cross_entropy(head(vectors[:, 0], vectors[:, 1]), torch.tensor(batch["label"][:]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), run.plan.settings.clip_norm)
        optimizer.step()
        model.eval()
        found.append((start + len(batch), accuracy()))
    return found


@pytest.mark.parametrize("protocol", ["sequential", "retrain"])
def test_the_pairs_are_those_of_the_first_batch_after_which_the_accuracy_is_back(
    finished, protocol, monkeypatch
):
    run = finished("fine_tune", protocol=protocol)
    n = min(relearning.MOST, len(run.parts[0]))
    course = accuracies_again(run, n)
    values = [accuracy for _, accuracy in course]
    assert len(set(values)) > 2, "something is learned again"
    for target in (values[0], max(values), (values[0] + max(values)) / 2):
        run.first_accuracy = target
        expected = next(seen for seen, accuracy in course if accuracy >= target)
        found = relearning.relearn(run)
        assert (found.target, found.n_pairs, found.n_pairs_tried) == (target, expected, expected)
    # With one batch fewer than are needed.
    run.first_accuracy, needed = max(values), course[values.index(max(values))][0]
    monkeypatch.setattr(relearning, "MOST", needed - 8)
    found = relearning.relearn(run)
    assert (found.n_pairs, found.n_pairs_tried) == (None, needed - 8)


@pytest.mark.parametrize(
    ("strategy", "changes"),
    [
        ("knn_fixed", {}),
        pytest.param("routed_adapters", {}, marks=pytest.mark.slow),
        pytest.param("knn_fixed+replay", {"protocol": "retrain"}, marks=pytest.mark.slow),
        pytest.param("fine_tune+ewc", {}, marks=pytest.mark.night),
        pytest.param("setfit", {}, marks=pytest.mark.night),
        pytest.param("random_labels", {"curve": True}, marks=pytest.mark.night),
    ],
)
def test_the_rest_of_the_result_is_the_same_to_the_bit(toy, tiny_encoder_folder, tmp_path, strategy, changes):
    results = [
        toy_run(toy, tiny_encoder_folder, tmp_path, strategy, relearn=relearn, shots=8, **changes)
        for relearn in (False, True)
    ]
    (plain, rows, tensors), (one, other_rows, other_tensors) = results
    assert plain.relearning is None
    assert one.relearning.n_pairs_tried <= one.sources["mnli"].rows.train
    # The measured accuracy before the second experience costs texts.
    left_out = {"key", "relearning", "options", "cost"}
    assert plain.cost.experiences[-1].pairs_seen == one.cost.experiences[-1].pairs_seen
    plain, one = ({k: v for k, v in without_time(r).items() if k not in left_out} for r in (plain, one))
    assert plain == one
    assert rows == other_rows
    assert tensors.keys() == other_tensors.keys()
    assert all(torch.equal(tensors[name], other_tensors[name]) for name in tensors)


def test_a_head_on_a_frozen_encoder_has_nothing_to_learn_again(toy, tiny_encoder_folder, tmp_path):
    options = {"protocol": "retrain", "pretrain": {"steps": "6"}, "relearn": True, "shots": 8}
    result, _, _ = toy_run(toy, tiny_encoder_folder, tmp_path, "frozen_probe", **options)
    assert (result.relearning.n_pairs, result.relearning.n_pairs_tried) == (0, 0)


@pytest.mark.parametrize(
    ("strategy", "scenario", "message"),
    [
        (
            "routed_adapters", "mnli_then_wikidata",
            "--relearn: under --protocol retrain routed_adapters keeps the encoder of the first task as it is, so there "
            "is nothing to learn again; leave it out",
        ),
        (
            "ncm", "mnli_then_wikidata",
            "--relearn: strategy ncm takes no gradient steps, so it cannot learn a task again; leave it out",
        ),
        (
            "knn_fixed", "wikidata_only",
            "--relearn: scenario wikidata_only has one task, which nothing follows; leave it out",
        ),
    ],
)  # fmt: skip
def test_runs_that_cannot_learn_again_are_refused(
    toy, tiny_encoder_folder, tmp_path, strategy, scenario, message
):
    protocol = "retrain" if "retrain" in message else None
    config = toy_config(
        toy, tiny_encoder_folder, tmp_path, strategy, scenario, relearn=True, protocol=protocol
    )
    with pytest.raises(SettingError) as error:
        prepare(config)
    assert str(error.value) == message
