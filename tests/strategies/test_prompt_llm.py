"""Prompts: which examples stand in them, what is left out, and how answers are scored."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch
from datasets import Dataset

from contsym.errors import EncoderError, SettingError
from contsym.strategies.prompt_llm import draw_examples
from contsym.training.loop import SeedRun
from contsym.training.parts import training_part
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seed
from tests.models.encoders.rigged import rigged
from tests.runs import config, one_seed


def store(name, labels):
    return Dataset.from_list(
        [
            {"id": f"{name}/{i}", "premise": f"{name} p{i}", "hypothesis": f"h{i}", "label": label}
            for i, label in enumerate(labels)
        ]
    )


STORES = [store("a", [0, 1, 2] * 8), store("b", [0, 2] * 4)]


@pytest.mark.parametrize(
    ("k", "counts"), [(3, {0: 1, 1: 1, 2: 1}), (4, {0: 2, 1: 1, 2: 1}), (6, {0: 2, 1: 2, 2: 2})]
)
def test_examples_are_balanced_over_labels(k, counts):
    assert Counter(pair["label"] for pair in draw_examples(STORES, k, seed=0)) == counts


def test_examples_of_a_label_come_from_the_experiences_in_turn():
    found = draw_examples(STORES, 12, seed=0)
    names = Counter((pair["id"][0], pair["label"]) for pair in found)
    # Only the first experience has neutral pairs.
    assert names == {("a", 0): 2, ("b", 0): 2, ("a", 1): 4, ("a", 2): 2, ("b", 2): 2}


def test_examples_depend_on_the_seed_and_not_on_the_order_of_the_pairs():
    def ids(stores, seed):
        return [pair["id"] for pair in draw_examples(stores, 4, seed)]

    backwards = [pairs.select(range(len(pairs))[::-1]) for pairs in STORES]
    assert ids(backwards, 0) == ids(STORES, 0)
    assert len({tuple(ids(STORES, seed)) for seed in range(5)}) == 5


def test_too_few_stored_pairs_are_one_line():
    with pytest.raises(SettingError, match=r"^--set k=40: 32 pairs are stored; expected at most 32$"):
        draw_examples(STORES, 40, seed=0)
    assert draw_examples([], 0, seed=0) == []


def prepared(toy, tmp_path, encoder=None, **settings):
    wanted = config(toy, None, tmp_path, "prompt_llm", settings={"k": "0", **settings}, audit=False)
    return prepare(replace(wanted, encoder=str(encoder or wanted.encoder)))


def ready(toy, tmp_path, encoder=None, **settings):
    """The strategy before any training, with its training pairs as `current`."""
    plan = prepared(toy, tmp_path, encoder, **settings)
    parts = [training_part(task, plan.config, 0) for task in plan.tasks]
    strategy = SeedRun(plan, parts, 0, Silent()).strategy
    strategy.current = parts[0]
    return strategy, plan.tasks[0].test.select(range(12))


@pytest.mark.parametrize("option", [{"one_pass": True}, {"until": 0.9}])
def test_more_examples_than_a_batch_are_refused_where_it_is_asked_after_each(option, toy, tmp_path):
    def plan(**settings):
        return prepare(config(toy, None, tmp_path, "prompt_llm", settings=settings, audit=False, **option))

    with pytest.raises(SettingError) as raised:
        plan(k="17")
    assert str(raised.value) == (
        "--set k=17: with --one-pass or --until it is asked after each batch, at first of 16 pairs; expected k of at "
        "most 16, or --set batch_size=17"
    )
    assert plan(k="17", batch_size="17").settings.k == 17


def test_a_prompt_in_words(toy, tmp_path):
    strategy, _ = ready(toy, tmp_path, k="2")
    pair = {"premise": "anna likes ben ", "hypothesis": "ben likes anna"}
    assert strategy.question(pair["premise"], pair["hypothesis"]) == (
        "anna likes ben\nQuestion: ben likes anna True, False or Neither?\nAnswer:"
    )
    assert strategy.prompts(["x True", "y False"], ["z"]) == ["x True\n\ny False\n\nz"]


def test_examples_carry_their_answers_and_the_question_comes_last(toy, tmp_path):
    strategy, pairs = ready(toy, tmp_path, k="2")
    sent = []
    score = strategy.language_model.log_likelihoods
    strategy.language_model.log_likelihoods = lambda prompts, answers: (
        sent.extend(prompts) or score(prompts, answers)
    )
    strategy.score(pairs)
    first, second = strategy.examples()
    words = {0: "True", 1: "Neither", 2: "False"}
    assert {first["label"], second["label"]} == {0, 2}
    for prompt, pair in zip(sent, pairs, strict=True):
        assert prompt == "\n\n".join(
            [
                f"{strategy.question(**first)} {words[first['label']]}",
                f"{strategy.question(**second)} {words[second['label']]}",
                strategy.question(pair["premise"], pair["hypothesis"]),
            ]
        )
    texts = (first["premise"], first["hypothesis"], second["premise"], second["hypothesis"])
    assert strategy.n_stored_bytes == len("".join(texts).encode())


def test_examples_that_do_not_fit_are_dropped_from_the_front_with_a_note(toy, tmp_path):
    strategy, _ = ready(toy, tmp_path)
    # [CLS] and 159 tokens of which the context of 160 has all: each example is 50 words.
    examples = [f"{name} " * 49 + name for name in ("anna", "ben", "carl", "dora")]
    short, long = "emil " * 8 + "emil", "emil " * 58 + "emil"
    assert strategy.language_model.room(strategy.answers) == 160
    assert strategy.prompts(examples, [short, long]) == [
        "\n\n".join([*examples[1:], short]),
        "\n\n".join([*examples[2:], long]),
    ]
    strategy.settings = strategy.settings.model_copy(update={"k": 4})
    assert strategy.notes() == [
        "2 of 2 prompts did not fit into the model's 160 tokens: up to 2 of 4 examples were left out from the front"
    ]
    assert strategy.prompts(examples, ["emil " * 300]) == ["emil " * 300]
    assert strategy.notes()[1] == (
        "1 of 3 prompts did not fit into the model's 160 tokens even without an example: their first tokens were cut"
    )


def test_a_rigged_model_answers_as_rigged(toy, tiny_causal_folder, tmp_path):
    folder = rigged(tiny_causal_folder, tmp_path / "false", "false", math.log(3))
    result, rows, _ = run_seed(prepared(toy, tmp_path, folder, k="1"), 0, Silent())
    assert {row["row_0"] for row in rows} == {row["row_1"] for row in rows} == {"contradiction"}
    assert result.matrix[1][0] == sum(row["label"] == "contradiction" for row in rows) / len(rows)


def test_calibration_takes_away_what_the_model_says_to_nothing(toy, tiny_causal_folder, tmp_path):
    folder = rigged(tiny_causal_folder, tmp_path / "false", "false", math.log(3))
    plain, pairs = ready(toy, tmp_path, folder)
    calibrated, _ = ready(toy, tmp_path, folder, calibrated="true")
    gap = plain.score(pairs)
    # It says the same to everything: ln 3 more for one word, and after calibration 0 for all.
    assert (gap[:, 2] - gap[:, 0]).tolist() == pytest.approx([math.log(3)] * 12, abs=1e-5)
    assert calibrated.score(pairs).tolist() == [[0, 0, 0]] * 12


def test_length_normalisation_divides_by_the_tokens_of_the_answer(toy, tmp_path):
    words = {"entailment": "is near", "neutral": "true or not"}
    summed, pairs = ready(toy, tmp_path, **words)
    normalised, _ = ready(toy, tmp_path, **words, length_normalised="true")
    expected = summed.score(pairs) / torch.tensor([2, 3, 1])
    assert torch.equal(normalised.score(pairs), expected)


def test_a_sequence_to_sequence_model_gets_the_same_prompts(toy, tiny_seq2seq_folder, tmp_path):
    result, rows, _ = run_seed(prepared(toy, tmp_path, tiny_seq2seq_folder, k="2"), 0, Silent())
    right = [row["row_1"] == row["label"] for row in rows]
    assert result.final["wikidata"] == pytest.approx(sum(right) / len(right))
    assert result.cost.trained_parameters == 0
    assert result.notes == []


def test_without_examples_nothing_is_stored_and_nothing_changes(toy, tmp_path):
    none = {"settings": {"k": "0"}, "audit": False}
    result, _, _ = one_seed(toy, None, tmp_path, "prompt_llm", "mnli_then_wikidata", **none)
    assert result.matrix[0] == result.matrix[1] == result.matrix[2]
    assert result.loss == [[], []]
    assert result.cost.stored_bytes == 0
    assert result.cost.trained_parameters == 0


def test_any_other_checkpoint_is_refused_before_training(toy, tiny_encoder_folder, tmp_path):
    with pytest.raises(EncoderError) as raised:
        prepared(toy, tmp_path, tiny_encoder_folder)
    assert str(raised.value) == (
        f"strategy prompt_llm: encoder {tiny_encoder_folder} is BertModel; expected a causal or "
        "sequence-to-sequence language model (...ForCausalLM, ...LMHeadModel, ...ForConditionalGeneration): "
        "pass one with --encoder DIR or a Hub id"
    )
