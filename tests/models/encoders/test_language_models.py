"""Language-model heads: fast batches against slow loops, and models rigged so that the answer is known."""

import copy
import math
import shutil
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import AutoTokenizer, BertForMaskedLM

from contsym.errors import EncoderError, SettingError
from contsym.models.encoders.checkpoints import language_model_kind, locate
from contsym.models.encoders.language_models import MaskedEncoder, Verbaliser, answer_tokens
from contsym.models.encoders.load import load
from tests.models.encoders.rigged import rigged

PROMPTS = [
    "anna is near ben answer",
    "ben",
    "carl is a child of dora and emil question",
    "ben",
    "a b c d e f",
]
WORDS = {"entailment": "true", "neutral": "is not", "contradiction": "is near"}
MASKED = [("anna is near ben?", "[MASK], ben is near anna"), ("ben?", "[MASK], a child of the not and carl")]

# Padding changes the order of summation, no more: float32 over two layers of 32 dimensions.
CLOSE = {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(params=["causal", "seq2seq"])
def language_model(request, tiny_causal_folder, tiny_seq2seq_folder):
    folder = tiny_causal_folder if request.param == "causal" else tiny_seq2seq_folder
    return load(locate(str(folder)), head="language_model")


def slow_log_likelihood(model, prompt, answer):
    """Token by token, one prompt at a time, without padding: each token's log-probability, added up."""
    network, total = model.transformer, 0.0
    ids = model.tokenizer(prompt)["input_ids"]
    before = [0] if model.is_seq2seq else ids[:-1]  # Without the [SEP] that would close the prompt.
    for token in answer:
        now = torch.tensor([before])
        if model.is_seq2seq:
            logits = network(input_ids=torch.tensor([ids]), decoder_input_ids=now).logits
        else:
            logits = network(input_ids=now).logits
        probabilities = torch.exp(logits[0, -1]) / torch.exp(logits[0, -1]).sum()
        total += math.log(float(probabilities[token]))
        before = [*before, token]
    return total


def test_log_likelihoods_equal_a_slow_loop_over_tokens(language_model):
    answers = answer_tokens(language_model.tokenizer, WORDS)
    assert [len(answer) for answer in answers] == [1, 2, 2]
    language_model.train()
    found = language_model.log_likelihoods(PROMPTS, answers)
    assert language_model.training
    language_model.eval()
    with torch.inference_mode():
        slow = [[slow_log_likelihood(language_model, p, a) for a in answers] for p in PROMPTS]
    torch.testing.assert_close(found, torch.tensor(slow), **CLOSE)
    assert torch.equal(found[1], found[3])


def test_many_batches_are_one_batch(language_model, monkeypatch):
    answers = answer_tokens(language_model.tokenizer, WORDS)
    together = language_model.log_likelihoods(PROMPTS, answers)
    monkeypatch.setattr("contsym.models.encoders.batching.TOKEN_BUDGET", 12)
    torch.testing.assert_close(language_model.log_likelihoods(PROMPTS, answers), together, **CLOSE)


@pytest.mark.parametrize("kind", ["causal", "seq2seq"])
def test_a_padding_token_without_a_row_pads_with_another(
    kind, tiny_causal_folder, tiny_seq2seq_folder, tmp_path
):
    saved = tiny_causal_folder if kind == "causal" else tiny_seq2seq_folder
    folder = shutil.copytree(saved, tmp_path / kind)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_special_tokens({"pad_token": "[NEW]"})
    tokenizer.save_pretrained(folder)
    found, expected = (
        load(locate(str(each)), head="language_model").log_likelihoods(PROMPTS, [[5], [6, 7]])
        for each in (folder, saved)
    )
    torch.testing.assert_close(found, expected)
    with pytest.raises(
        EncoderError, match=r"a text has the token '\[NEW\]', and the encoder's embedding table has"
    ):
        load(locate(str(folder)), head="language_model").log_likelihoods(["ben [NEW]"], [[5]])


def test_prompts_are_scored_once_and_answers_of_one_token_share_a_pass(language_model):
    one_token = answer_tokens(language_model.tokenizer, {"entailment": "true", "neutral": "false"})
    language_model.log_likelihoods(PROMPTS, one_token)
    assert language_model.n_forwards == 4
    language_model.log_likelihoods(PROMPTS, answer_tokens(language_model.tokenizer, WORDS))
    # A causal model sees "..." and "... is"; an encoder-decoder encodes a prompt once for all answers.
    assert language_model.n_forwards == 4 + (4 if language_model.is_seq2seq else 4 * 2)


def test_log_likelihoods_of_a_rigged_model_by_hand(tiny_causal_folder, tmp_path):
    model = load(
        locate(str(rigged(tiny_causal_folder, tmp_path / "r", "true", math.log(3)))), head="language_model"
    )
    n_words = model.transformer.config.vocab_size
    found = model.log_likelihoods(["anna is near ben"], answer_tokens(model.tokenizer, WORDS))
    # The softmax: e^(ln 3) = 3 for one word and e^0 = 1 for the n - 1 others.
    rest = math.log(1 / (n_words + 2))
    assert found[0].tolist() == pytest.approx([math.log(3 / (n_words + 2)), 2 * rest, 2 * rest], abs=1e-5)


def test_a_prompt_beyond_the_context_loses_its_first_tokens(tiny_causal_folder):
    model = load(locate(str(tiny_causal_folder)), head="language_model")
    answers = answer_tokens(model.tokenizer, WORDS)
    # Of 160 positions one goes to the first token of a two-token answer.
    assert model.room(answers) == 159
    long = "anna " * 400 + "answer"
    assert len(model.prompt_tokens([long])[0]) == 402
    found = model.log_likelihoods([long], answers)
    assert torch.isfinite(found).all()
    # [CLS] is cut with the rest, so no text without it gives these 159 tokens: ask the model itself.
    ids = model.prompt_tokens([long])[0][-159:]
    model.eval()
    with torch.inference_mode():
        logs = model.transformer(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)
    assert found[0, 0].item() == pytest.approx(logs[answers[0][0]].item(), abs=1e-4)


def test_a_language_model_pools_sentences_too(language_model):
    found = language_model.encode(["anna", "ben is near carl", "anna"])
    assert found.shape == (3, 32)
    assert torch.equal(found[0], found[2])


def test_words_at_the_mask_have_the_logits_of_the_whole_model(tiny_masked_lm_folder):
    encoder = load(locate(str(tiny_masked_lm_folder)), head="masked_lm")
    assert not encoder.is_tied
    model = BertForMaskedLM.from_pretrained(tiny_masked_lm_folder).eval()
    with torch.no_grad():
        # A bias that is not zero, so that leaving it out would show.
        for network in (model, encoder.transformer):
            network.cls.predictions.bias.copy_(torch.linspace(-1, 1, model.config.vocab_size))
    words = [ids[0] for ids in answer_tokens(encoder.tokenizer, {"entailment": "yes", "neutral": "no"})]
    vectors = encoder.encode(MASKED)
    with torch.inference_mode():
        found = Verbaliser(encoder, words)(vectors)
        for text, row in zip(MASKED, found, strict=True):
            tokens = encoder.tokenizer(*text, return_tensors="pt")
            at = tokens["input_ids"][0].tolist().index(encoder.tokenizer.mask_token_id)
            torch.testing.assert_close(row, model(**tokens).logits[0, at, words], **CLOSE)


@pytest.fixture
def headless_folder(tiny_masked_lm_folder, tmp_path):
    """The same encoder and tokenizer without the masked-language-model head."""
    folder = tmp_path / "headless"
    shutil.copytree(tiny_masked_lm_folder, folder)
    BertForMaskedLM.from_pretrained(tiny_masked_lm_folder).bert.save_pretrained(folder)
    return folder


def test_without_a_head_the_mask_is_read_by_the_input_embeddings(headless_folder):
    encoder = load(locate(str(headless_folder)), head="masked_lm")
    assert encoder.is_tied
    encoder.eval()
    tokens = encoder.tokenize(MASKED[:1])
    at = tokens["input_ids"][0].tolist().index(encoder.tokenizer.mask_token_id)
    with torch.inference_mode():
        state = encoder.transformer(**tokens).last_hidden_state[0, at]
        vectors = encoder.transformer.embeddings.word_embeddings.weight[[7, 9]]
        found = Verbaliser(encoder, [7, 9])(encoder.encode(MASKED[:1]))
    torch.testing.assert_close(found[0], vectors @ state, **CLOSE)


def test_texts_without_a_mask_are_pooled_as_ever(tiny_masked_lm_folder):
    texts = ["anna is near ben", ("ben", "anna"), *MASKED]
    plain = load(locate(str(tiny_masked_lm_folder))).encode(texts)
    masked = load(locate(str(tiny_masked_lm_folder)), head="masked_lm").encode(texts)
    torch.testing.assert_close(masked[:2], plain[:2], **CLOSE)
    assert not torch.allclose(masked[2:], plain[2:], atol=1e-2)


def test_a_copy_of_the_model_reads_the_words_of_the_copy(tiny_masked_lm_folder):
    encoder = load(locate(str(tiny_masked_lm_folder)), head="masked_lm")
    model = nn.ModuleDict({"encoder": encoder, "head": Verbaliser(encoder, [7, 9])})
    assert not any(name.startswith("head") for name in model.state_dict())
    twin = copy.deepcopy(model)
    vector = torch.ones(1, 32)
    before = twin["head"](vector).tolist()
    with torch.no_grad():
        encoder.decoder.weight.zero_()
        encoder.decoder.bias.zero_()
    assert model["head"](vector).tolist() == [[0, 0]]
    assert twin["head"](vector).tolist() == before != [[0, 0]]


def test_a_masked_encoder_takes_the_weights_of_a_plain_one(tiny_masked_lm_folder, headless_folder):
    plain = load(locate(str(headless_folder)))
    with torch.no_grad():
        for weight in plain.transformer.parameters():
            weight.mul_(1.5)
    masked = load(locate(str(tiny_masked_lm_folder)), head="masked_lm")
    # Names as in a stored first task; only the plain encoder has a pooler.
    masked.load_body({f"transformer.{name}": t for name, t in plain.transformer.state_dict().items()})
    torch.testing.assert_close(masked.encode(["anna"]), plain.encode(["anna"]), **CLOSE)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"architectures": ["GPT2LMHeadModel"]}, "causal"),
        ({"architectures": ["LlamaForCausalLM"]}, "causal"),
        ({"architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True}, "seq2seq"),
        ({"architectures": ["BertModel"]}, None),
        ({"architectures": ["T5EncoderModel"], "is_encoder_decoder": True}, None),
        ({"architectures": None}, None),
        ({}, None),
    ],
)
def test_the_kind_of_a_language_model_is_read_off_its_config(config, kind):
    assert language_model_kind(config) == kind


def test_an_encoder_is_no_language_model(tiny_encoder_folder):
    with pytest.raises(EncoderError, match=r"no causal or sequence-to-sequence language model$"):
        load(locate(str(tiny_encoder_folder)), head="language_model")


def test_word_vectors_of_another_width_are_one_line(tiny_masked_lm_folder):
    encoder = load(locate(str(tiny_masked_lm_folder)), head="masked_lm")
    expected = r"^BertForMaskedLM: word vectors of 32 dimensions over states of 64; expected as many,"
    with pytest.raises(EncoderError, match=expected):
        MaskedEncoder(encoder.transformer, encoder.tokenizer, 64, is_tied=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            {"entailment": "yes", "neutral": "é€"},
            "--set neutral=é€: this encoder's tokenizer does not know it; expected a word that it does",
        ),
        (
            {"entailment": "yes", "neutral": "Yes"},
            "--set neutral=Yes: the same tokens as entailment's; expected another word",
        ),
        (
            {"entailment": " "},
            "--set entailment= : this encoder's tokenizer does not know it; expected a word that it does",
        ),
    ],
)
def test_words_that_no_score_could_tell_apart_are_refused(words, message, tiny_causal_folder):
    tokenizer = AutoTokenizer.from_pretrained(tiny_causal_folder)
    with pytest.raises(SettingError) as raised:
        answer_tokens(tokenizer, words)
    assert str(raised.value) == message


def test_lower_case_leaves_the_mask_as_it_is(tiny_masked_lm_folder):
    encoder = load(locate(str(tiny_masked_lm_folder)), head="masked_lm")
    expected = encoder.encode([("anna?", "[MASK], ben"), "ben"])
    encoder.pooling = replace(encoder.pooling, is_lower_case=True)
    assert torch.equal(encoder.encode([("Anna?", "[MASK], BEN"), "Ben"]), expected)
