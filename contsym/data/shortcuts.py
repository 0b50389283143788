"""Accuracies of shortcuts on the test pairs: the baseline that a method must exceed.

Each shortcut sees a part of a pair that does not tell whether the hypothesis follows, and is trained on the same
pairs as the method. A method that scores no more has shown nothing (after Poliak et al. 2018, hypothesis-only
baselines, and McCoy et al. 2019, lexical overlap).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from contsym.data.schema import Dataset
from contsym.data.shots import subset
from contsym.data.wikidata.pairs import phrasing_of

MAX_TRAIN = 20_000
"""Most training pairs of a shortcut: more would change its score little and take minutes."""

SHORTCUTS: Mapping[str, str] = {
    "majority": "one label for all",
    "hypothesis_only": "words of the hypothesis alone (1- and 2-grams)",
    "relation_phrase": "the label that the relation phrase had in training",
    "bag_of_words": "words of premise and hypothesis, as separate features (1- and 2-grams)",
    "unordered_words": "words of both sentences together, without order",
    "length": "numbers of words and characters",
    "overlap": "how many words the sentences share",
}
"""By name, what each shortcut looks at. `relation_phrase`, the premise without its entities, is measured only where these are
known; of single texts, what is of one text."""

Pair = tuple[str, str]
Pairs = Sequence[Pair]
Labels = Sequence[int]
Predictor = Callable[[Pairs, Labels, Pairs], list[int]]
"""(training pairs, their labels, test pairs) to predicted labels."""


def import_libraries() -> None:
    """Import what `scores` needs: it takes a second, in which another process may parse pairs."""
    import sklearn.linear_model  # noqa: F401


def scores(train: Dataset, test: Dataset) -> dict[str, float]:
    """Accuracy per shortcut on all of `test` after training on at most MAX_TRAIN pairs of `train`; with none, `majority`.

    `majority` is the best single label in hindsight. The others know `train` only, and predict its most frequent
    label where they have no evidence.
    """
    if not len(train):
        targets = test["label"][:]
        return {"majority": Counter(targets).most_common(1)[0][1] / len(targets)}
    if len(train) > MAX_TRAIN:
        train = subset(train, MAX_TRAIN, 0, "shortcuts")
    labels, targets = train["label"][:], test["label"][:]
    texts = ((part["premise"][:], part["hypothesis"][:]) for part in (train, test))
    pairs, test_pairs = (list(zip(*columns, strict=True)) for columns in texts)
    commonest = Counter(labels).most_common(1)[0][0]
    predictions = {"majority": [Counter(targets).most_common(1)[0][0]] * len(targets)}
    if all(any(test[name][:]) for name in ("relation", "hypothesis", "subject", "object")):
        predictions["relation_phrase"] = _by_phrase(train, test, labels, commonest)
    is_single = not any(hypothesis for _, hypothesis in pairs)
    for name, predict in (_OF_TEXTS if is_single else _PREDICTORS).items():
        is_constant = len(set(labels)) < 2
        predictions[name] = [commonest] * len(targets) if is_constant else predict(pairs, labels, test_pairs)
    return {
        name: sum(a == b for a, b in zip(predictions[name], targets, strict=True)) / len(targets)
        for name in SHORTCUTS
        if name in predictions
    }


def best(accuracies: Mapping[str, float]) -> tuple[str, float]:
    """The shortcut with the highest accuracy (the first of equal ones), and its accuracy."""
    return max(accuracies.items(), key=lambda item: item[1])


def _by_phrase(train: Dataset, test: Dataset, labels: Labels, commonest: int) -> list[int]:
    def phrases(part: Dataset) -> list[str]:
        columns = (part[name][:] for name in ("premise", "subject", "object"))
        return [phrasing_of(*row) for row in zip(*columns, strict=True)]

    votes: dict[str, Counter[int]] = defaultdict(Counter)
    for phrase, label in zip(phrases(train), labels, strict=True):
        votes[phrase][label] += 1
    return [votes[p].most_common(1)[0][0] if p in votes else commonest for p in phrases(test)]


def _linear(features: Any, texts: Any, labels: Labels, test_texts: Any) -> list[int]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(features, LogisticRegression(max_iter=100, tol=1e-2))
    return model.fit(texts, labels).predict(test_texts).tolist()


def _counter(n_grams: int):
    from sklearn.feature_extraction.text import CountVectorizer

    # Words are separated by space: the default pattern would leave some sentences without a word.
    return CountVectorizer(ngram_range=(1, n_grams), token_pattern=r"\S+", binary=True)  # noqa: S106 - a pattern, not a password


def _words(
    text_of: Callable[[Pair], str], n_grams: int, pairs: Pairs, labels: Labels, tests: Pairs
) -> list[int]:
    return _linear(_counter(n_grams), [*map(text_of, pairs)], labels, [*map(text_of, tests)])


def _bag_of_words(pairs: Pairs, labels: Labels, test_pairs: Pairs) -> list[int]:
    import numpy as np
    from sklearn.compose import ColumnTransformer

    sides = ColumnTransformer([("premise", _counter(2), 0), ("hypothesis", _counter(2), 1)])
    return _linear(sides, np.array(pairs, dtype=object), labels, np.array(test_pairs, dtype=object))


def _tree(
    features: Callable[[Pair], list[float]], pairs: Pairs, labels: Labels, test_pairs: Pairs
) -> list[int]:
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(max_depth=3, random_state=0)
    return model.fit([*map(features, pairs)], labels).predict([*map(features, test_pairs)]).tolist()


def _length(pair: Pair) -> list[float]:
    sizes = [size for text in pair for size in (len(text.split()), len(text))]
    return [*sizes, sizes[0] - sizes[2], sizes[1] - sizes[3]]


def _overlap(pair: Pair) -> list[float]:
    premise, hypothesis = (set(text.casefold().split()) for text in pair)
    shared = len(premise & hypothesis)
    return [shared / max(1, len(hypothesis)), shared / max(1, len(premise | hypothesis)), shared]


_PREDICTORS: Mapping[str, Predictor] = {
    "hypothesis_only": partial(_words, itemgetter(1), 2),
    "bag_of_words": _bag_of_words,
    "unordered_words": partial(_words, " ".join, 1),
    "length": partial(_tree, _length),
    "overlap": partial(_tree, _overlap),
}
_OF_TEXTS: Mapping[str, Predictor] = {
    "bag_of_words": partial(_words, itemgetter(0), 2),
    "unordered_words": partial(_words, itemgetter(0), 1),
    "length": partial(_tree, _length),
}
