"""Cloze questions: the words of a pattern, what is refused, and what the result says of a tied head."""

from dataclasses import replace

import pytest

from contsym.errors import EncoderError, SettingError
from contsym.models.encoders.checkpoints import locate
from contsym.models.encoders.load import load
from contsym.strategies.cloze import PATTERNS, fill_pattern
from contsym.tasks.schema import NLI_LABELS
from contsym.testing.toy import WORDS, save_tokenizer, tiny_config
from contsym.training.plan import prepare
from contsym.training.progress import Silent
from contsym.training.run import run_seed
from tests.conftest import ANSWERS
from tests.runs import BARE, config, one_seed


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("question", ("Anna sings?", "[MASK], She sings.")),
        ("quoted", ('"Anna sings"?', '[MASK], "She sings."')),
        ("follows", ("Anna sings. Does it follow that She sings?", "[MASK].")),
    ],
)
def test_patterns_in_words(pattern, expected):
    found = fill_pattern("Anna sings.", "She sings.", pattern=PATTERNS[pattern], mask="[MASK]")
    assert found == expected


def test_a_sentence_that_names_the_mask_loses_it():
    found = fill_pattern("a [MASK] b", "[MASK]", pattern=PATTERNS["question"], mask="[MASK]")
    assert found == ("a   b?", "[MASK], ")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_truncation_never_takes_the_mask(pattern, tiny_masked_lm_folder):
    encoder = load(locate(str(tiny_masked_lm_folder)), head="masked_lm")
    text = fill_pattern("anna " * 200, "ben " * 200, pattern=PATTERNS[pattern], mask="[MASK]")
    (ids,) = encoder.tokenize([text])["input_ids"].tolist()
    assert len(ids) == 64
    assert ids.count(encoder.tokenizer.mask_token_id) == 1


def refused(toy, tmp_path, encoder, **settings):
    wanted = replace(config(toy, encoder, tmp_path, "cloze", settings=settings), encoder=str(encoder))
    with pytest.raises((EncoderError, SettingError)) as raised:
        prepare(wanted)
    return str(raised.value)


def test_an_encoder_without_a_mask_token_is_refused(toy, tiny_encoder_folder, tmp_path):
    assert refused(toy, tmp_path, tiny_encoder_folder) == (
        f"strategy cloze: encoder {tiny_encoder_folder} has no mask token in its tokenizer; expected a masked "
        "language model, or an encoder made from one, as minilm or roberta-large"
    )


def test_an_encoder_decoder_is_refused(toy, tiny_seq2seq_folder, tmp_path):
    message = refused(toy, tmp_path, tiny_seq2seq_folder)
    assert "is a sequence-to-sequence model; expected an encoder with a mask token" in message


def test_a_word_of_several_tokens_is_refused_with_their_number(toy, tiny_masked_lm_folder, tmp_path):
    assert refused(toy, tmp_path, tiny_masked_lm_folder, neutral="yea") == (
        "--set neutral=yea: 3 tokens of this encoder (y ##e ##a); expected a word of one token"
    )


@pytest.fixture(scope="module")
def headless(tmp_path_factory):
    import torch
    from transformers import BertModel

    folder = tmp_path_factory.mktemp("headless")
    n_words = save_tokenizer(folder, (*WORDS, *ANSWERS), mask_token="[MASK]")
    torch.manual_seed(0)
    BertModel(tiny_config(n_words)).save_pretrained(folder)
    return folder


def test_a_tied_head_learns_too_and_the_result_says_so(toy, headless, tmp_path):
    from rich.console import Console

    from contsym.commands.views.run import result_tables

    wanted = config(toy, headless, tmp_path, "cloze", **BARE)
    wanted = replace(wanted, encoder=str(headless))
    result, _, _ = run_seed(prepare(wanted), 0, Silent())
    assert result.matrix[1][0] >= 0.9
    note = (
        "cloze read the mask by a tied head (input embeddings, no transform): the checkpoint has no "
        "masked-language-model head"
    )
    assert result.notes == [note]
    console = Console(width=200, record=True)
    console.print(result_tables([result, result]))
    assert console.export_text().count(f"! {note}") == 1


def test_a_checkpoints_own_head_needs_no_note_and_nothing_is_stored(toy, tiny_masked_lm_folder, tmp_path):
    result, _, tensors = one_seed(toy, None, tmp_path, "cloze", settings={"steps": "2"}, **BARE)
    assert result.notes == []
    assert result.cost.stored_bytes == 0
    assert tensors.keys() <= {"view.before", "view.after", "scores.mnli", "scores.wikidata"}
    # One text for a pair.
    assert result.cost.encoder_forwards - result.cost.encoder_forwards_evaluation == 2 * 16


def test_words_decide_the_scores(toy, tmp_path):
    """Untrained, with the words of two labels exchanged, the two labels exchange their predictions."""
    words = dict(zip(NLI_LABELS, ("true", "or", "false"), strict=True))
    exchanged = {**words, "entailment": "false", "contradiction": "true"}
    rows = [
        one_seed(toy, None, tmp_path, "cloze", settings={"steps": "1", **own}, **BARE)[1]
        for own in (words, exchanged)
    ]
    swap = {"entailment": "contradiction", "contradiction": "entailment", "neutral": "neutral"}
    assert [row["row_0"] for row in rows[0]] == [swap[row["row_0"]] for row in rows[1]]


def test_distillation_copies_the_model_and_its_words(toy, tmp_path, monkeypatch):
    from tests.strategy_settings import SETTINGS

    monkeypatch.setitem(SETTINGS, "cloze+lwf", SETTINGS["cloze"])
    own = {**toy, "encoders": {**toy["encoders"], "cloze+lwf": toy["encoders"]["cloze"]}}
    short = {"settings": {"steps": "3"}, **BARE}
    result, _, _ = one_seed(own, None, tmp_path, "cloze+lwf", "mnli_then_wikidata", **short)
    assert [len(losses) for losses in result.loss] == [3, 3]
