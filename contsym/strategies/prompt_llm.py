"""A large language model asked in words: the label whose word is likeliest after the prompt wins.

score(y) = log P(word of y | prompt), summed over the word's tokens; with `length_normalised` divided
by their number; with `calibrated` less the same for the prompt of a pair that says nothing ("N/A" and
"N/A"). Nothing is trained. With `--set k=4`, four stored pairs stand before the question with their
answers: the labels take turns, and within a label the experiences, drawn by a hash of seed and id.
The model is the run's `--encoder`: any causal or sequence-to-sequence checkpoint. Examples that do
not fit into its context are left out from the front, and the result says how often.
Source: Brown et al. 2020 (GPT-3, arXiv 2005.14165), section 2.4 and appendix G (pattern `question` is
that of its ANLI tasks); calibration of Zhao et al. 2021 (arXiv 2102.09690), section 4, as a difference
of logarithms, which ranks as its division does. The large models of Yuan and Vlachos 2025 (arXiv
2504.16312) are asked like this.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Literal

import torch
from datasets import Dataset
from pydantic import Field
from torch import Tensor, nn

from contsym.data.schema import LABELS, stable_hash
from contsym.errors import EncoderError, SettingError
from contsym.models.encoders.checkpoints import EncoderFiles, language_model_kind, read_config
from contsym.models.encoders.language_models import LanguageModel, answer_tokens
from contsym.models.encoders.pooled import PooledEncoder
from contsym.models.encoders.weights import load_tokenizer
from contsym.strategies.base import Strategy, TrainingSettings

CARD = {
    "source": "Brown et al. 2020 (GPT-3, arXiv 2005.14165), section 2.4; Zhao et al. 2021 (calibration)",
    "trains": "nothing",
    "stores": "the k pairs in the prompt; nothing with k=0",
    "grows": "no",
    "family": "few-shot",
}

PATTERNS = {
    "question": "{premise}\nQuestion: {hypothesis} {entailment}, {contradiction} or {neutral}?\nAnswer:",
    "pair": "Premise: {premise}\nHypothesis: {hypothesis}\nAnswer:",
}
ANSWER = "Answer:"
"""What every prompt ends with; the word follows after a space."""

BETWEEN = "\n\n"
NOTHING = "N/A"
"""Both sentences of the pair that says nothing (Zhao et al. 2021)."""


class PromptLlm(Strategy):
    trains = False
    wants_head = "language_model"

    class Settings(TrainingSettings):
        k: int = Field(0, ge=0, le=256, description="stored pairs in the prompt, with their answers")
        pattern: Literal["question", "pair"] = Field("question", description="how a pair is asked about")
        entailment: str = Field("True", min_length=1, description="the answer that means this label")
        neutral: str = Field("Neither", min_length=1, description="the answer that means this label")
        contradiction: str = Field("False", min_length=1, description="the answer that means this label")
        length_normalised: bool = Field(False, description="log-likelihood per token of the answer")
        calibrated: bool = Field(False, description="less the log-likelihood after a pair that says nothing")

    settings: Settings

    @classmethod
    def check(cls, files: EncoderFiles, settings: TrainingSettings) -> None:
        assert isinstance(settings, cls.Settings)
        config = read_config(files.folder)
        if language_model_kind(config) is None:
            found = ", ".join(map(str, config.get("architectures") or ["a model without a name"]))
            raise EncoderError(
                f"strategy prompt_llm: encoder {files.name} is {found}; expected a causal or "
                "sequence-to-sequence language model (...ForCausalLM, ...LMHeadModel, "
                "...ForConditionalGeneration): pass one with --encoder DIR or a Hub id"
            )
        answer_tokens(load_tokenizer(files.folder), words_of(settings), ANSWER)

    is_joint = True

    def build(self, encoder: PooledEncoder, n_labels: int, generator: torch.Generator) -> nn.Module:
        assert isinstance(encoder, LanguageModel)
        self.language_model, self.words = encoder, words_of(self.settings)
        self.answers = answer_tokens(encoder.tokenizer, self.words, ANSWER)
        self.n_asked = self.n_shortened = self.n_cut = self.most_left_out = 0
        return nn.Identity()

    @property
    def n_stored_bytes(self) -> int:
        """Of the pairs in the prompt, as UTF-8."""
        return sum(len(f"{pair['premise']}{pair['hypothesis']}".encode()) for pair in self.examples())

    def score(self, pairs: Dataset) -> Tensor:
        examples = [self.asked(pair) + f" {self.words[LABELS[pair['label']]]}" for pair in self.examples()]
        columns = (pairs["premise"][:], pairs["hypothesis"][:])
        asked = [self.asked({"premise": p, "hypothesis": h}) for p, h in zip(*columns, strict=True)]
        scores = self.language_model.log_likelihoods(self.prompts(examples, asked), self.answers)
        if self.settings.calibrated:
            nothing = self.asked({"premise": NOTHING, "hypothesis": NOTHING})
            scores = scores - self.language_model.log_likelihoods(
                self.prompts(examples, [nothing]), self.answers
            )
        if self.settings.length_normalised:
            scores = scores / torch.tensor([len(answer) for answer in self.answers])
        return scores

    def asked(self, pair: Mapping[str, object]) -> str:
        """The question about one pair, up to where the answer goes."""
        texts = {name: str(pair[name]).strip() for name in ("premise", "hypothesis")}
        return PATTERNS[self.settings.pattern].format(**texts, **self.words)

    def examples(self) -> list[Mapping[str, Any]]:
        """The k pairs that stand in the prompt. Raises SettingError where fewer are stored."""
        current = self.current
        stores = [*self.past, *([] if current is None else [current])]
        return drawn(stores, self.settings.k, self.seed)

    def prompts(self, examples: Sequence[str], questions: Sequence[str]) -> list[str]:
        """Each question behind as many of the examples as fit, the last ones; counts what did not."""
        room = self.language_model.room(self.answers)
        found = dict.fromkeys(questions, "")
        waiting, n_left_out = list(found), 0
        while waiting:
            whole = [BETWEEN.join([*examples[n_left_out:], question]) for question in waiting]
            lengths = [len(ids) for ids in self.language_model.prompt_tokens(whole)]
            fits = [room is None or n <= room for n in lengths]
            is_last = n_left_out == len(examples)
            for question, prompt, is_fitting in zip(waiting, whole, fits, strict=True):
                if is_fitting or is_last:
                    found[question] = prompt
                    self.n_shortened += n_left_out > 0
                    self.n_cut += not is_fitting
                    self.most_left_out = max(self.most_left_out, n_left_out)
            waiting = [q for q, is_fitting in zip(waiting, fits, strict=True) if not (is_fitting or is_last)]
            n_left_out += 1
        self.n_asked += len(found)
        return [found[question] for question in questions]

    def notes(self) -> list[str]:
        tokens, said = self.language_model.context, []
        if self.n_shortened:
            said.append(
                f"{self.n_shortened:,} of {self.n_asked:,} prompts did not fit into the model's {tokens:,} tokens: "
                f"up to {self.most_left_out} of {self.settings.k} examples were left out from the front"
            )
        if self.n_cut:
            said.append(
                f"{self.n_cut:,} of {self.n_asked:,} prompts did not fit into the model's {tokens:,} tokens even "
                "without an example: their first tokens were cut"
            )
        return said

    # The model never changes, so it is no part of what an experience leaves behind.

    def state(self) -> dict[str, Tensor]:
        counts = (self.n_asked, self.n_shortened, self.n_cut, self.most_left_out)
        return {"prompts": torch.tensor(counts)}

    def restore(self, state: Mapping[str, Tensor], past: Sequence[Dataset]) -> None:
        self.past[:] = past
        self.n_asked, self.n_shortened, self.n_cut, self.most_left_out = state["prompts"].tolist()


def words_of(settings: PromptLlm.Settings) -> dict[str, str]:
    """The answer of each label, in the order of the labels."""
    return {label: str(getattr(settings, label)) for label in LABELS}


def drawn(stores: Sequence[Dataset], k: int, seed: int) -> list[Mapping[str, Any]]:
    """k stored pairs, as many of each label as there are, in an order of their own.

    The labels that occur take turns; within a label the stores do; within those, and at the end over
    all, a hash of seed and id decides. Raises SettingError where fewer than k are stored.
    """
    if k == 0:
        return []
    n_stored = sum(map(len, stores))
    if n_stored < k:
        raise SettingError(f"--set k={k}: {n_stored} pairs are stored; expected at most {n_stored}")
    by_label: dict[int, dict[int, list[tuple[int, int, int]]]] = defaultdict(lambda: defaultdict(list))
    for place, store in enumerate(stores):
        for row, (label, name) in enumerate(zip(store["label"][:], store["id"][:], strict=True)):
            by_label[label][place].append((stable_hash(seed, name), place, row))
    turns = [_in_turns([sorted(own) for own in by_label[label].values()]) for label in sorted(by_label)]
    return [stores[place][row] for _, place, row in sorted(_in_turns(turns)[:k])]


def _in_turns(groups: Sequence[list[tuple[int, int, int]]]) -> list[tuple[int, int, int]]:
    return [one for turn in zip_longest(*groups) for one in turn if one is not None]
