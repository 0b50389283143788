"""What guessing by a shortcut scores, on exactly the test pairs: the line a method must be above.

Each shortcut sees a part of a pair that does not say whether the hypothesis follows, and is
trained on the same pairs as the method beside it. A method that scores no more has shown nothing
(after Poliak et al. 2018, hypothesis-only baselines, and McCoy et al. 2019, lexical overlap).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from contsym.data.shots import subset
from contsym.data.wikidata.pairs import phrasing_of

if TYPE_CHECKING:
    from datasets import Dataset


MAX_TRAIN = 20_000
"""Training pairs that a shortcut is given at most: more change its score little and cost minutes."""

SHORTCUTS: Mapping[str, str] = {
    "majority": "one label for all",
    "hypothesis_only": "words of the hypothesis alone (1- and 2-grams)",
    "relation_phrase": "the label that the relation phrase had in training",
    "bag_of_words": "words of premise and hypothesis, told apart (1- and 2-grams)",
    "unordered_words": "words of both sentences together, without order",
    "length": "numbers of words and characters",
    "overlap": "how many words the sentences share",
}
"""By name, what each looks at. `relation_phrase` is measured on relation pairs only."""

Pair = tuple[str, str]


def scores(train: Dataset, test: Dataset) -> dict[str, float]:
    """Accuracy of each shortcut on all of `test` after training on `train` (at most MAX_TRAIN).

    `majority` is the best single label in hindsight. The others know `train` only, and answer
    with its most frequent label where they have nothing to go by.
    """
    if len(train) > MAX_TRAIN:
        train = subset(train, MAX_TRAIN, 0, "shortcuts")
    learned, wanted = train["label"][:], test["label"][:]
    pairs, asked = _texts(train), _texts(test)
    found = {"majority": max(Counter(wanted).values()) / len(wanted)}

    def measure(name: str, answers: Sequence[int]) -> None:
        found[name] = sum(a == b for a, b in zip(answers, wanted, strict=True)) / len(wanted)

    commonest = Counter(learned).most_common(1)[0][0]
    if any(test["relation"][:]):
        measure("relation_phrase", _by_phrase(train, test, learned, commonest))
    for name, fit in _LEARNERS.items():
        if len(set(learned)) < 2:
            measure(name, [commonest] * len(asked))
        else:
            measure(name, fit(pairs, learned, asked))
    return {name: found[name] for name in SHORTCUTS if name in found}


def best(measured: Mapping[str, float]) -> tuple[str, float]:
    """The shortcut that scores most, and its accuracy; the first of equal ones."""
    return max(measured.items(), key=lambda item: item[1])


def _texts(pairs: Dataset) -> list[Pair]:
    return list(zip(pairs["premise"][:], pairs["hypothesis"][:], strict=True))


def _by_phrase(train: Dataset, test: Dataset, learned: Sequence[int], commonest: int) -> list[int]:
    def phrases(part: Dataset) -> list[str]:
        columns = (part[name][:] for name in ("premise", "subject", "object"))
        return [phrasing_of(*row) for row in zip(*columns, strict=True)]

    votes: dict[str, Counter[int]] = defaultdict(Counter)
    for phrase, label in zip(phrases(train), learned, strict=True):
        votes[phrase][label] += 1
    return [votes[p].most_common(1)[0][0] if p in votes else commonest for p in phrases(test)]


def _words(texts: Sequence[str], labels: Sequence[int], asked: Sequence[str], n_grams: int) -> list[int]:
    return _linear(lambda: _counter(n_grams), texts, labels, asked)


def _linear(features: Callable[[], Any], given: Any, labels: Sequence[int], asked: Any) -> list[int]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(features(), LogisticRegression(max_iter=100, tol=1e-2))
    return model.fit(given, labels).predict(asked).tolist()


def _counter(n_grams: int):
    from sklearn.feature_extraction.text import CountVectorizer

    # Words are what space separates: no sentence is without one, as with the default pattern.
    # S106 takes the pattern for a password.
    return CountVectorizer(ngram_range=(1, n_grams), token_pattern=r"\S+", binary=True)  # noqa: S106 - a pattern of words, no password


def _hypothesis_only(pairs: Sequence[Pair], labels: Sequence[int], asked: Sequence[Pair]) -> list[int]:
    return _words([h for _, h in pairs], labels, [h for _, h in asked], 2)


def _unordered_words(pairs: Sequence[Pair], labels: Sequence[int], asked: Sequence[Pair]) -> list[int]:
    return _words([" ".join(p) for p in pairs], labels, [" ".join(p) for p in asked], 1)


def _bag_of_words(pairs: Sequence[Pair], labels: Sequence[int], asked: Sequence[Pair]) -> list[int]:
    import numpy as np
    from sklearn.compose import ColumnTransformer

    def sides() -> ColumnTransformer:
        return ColumnTransformer([("premise", _counter(2), 0), ("hypothesis", _counter(2), 1)])

    return _linear(sides, np.array(pairs, dtype=object), labels, np.array(asked, dtype=object))


def _tree(features: Callable[[Pair], list[float]]):
    def fit(pairs: Sequence[Pair], labels: Sequence[int], asked: Sequence[Pair]) -> list[int]:
        from sklearn.tree import DecisionTreeClassifier

        model = DecisionTreeClassifier(max_depth=3, random_state=0)
        return model.fit([features(p) for p in pairs], labels).predict([features(p) for p in asked]).tolist()

    return fit


def _length(pair: Pair) -> list[float]:
    sizes = [size for text in pair for size in (len(text.split()), len(text))]
    return [*sizes, sizes[0] - sizes[2], sizes[1] - sizes[3]]


def _overlap(pair: Pair) -> list[float]:
    premise, hypothesis = (set(text.casefold().split()) for text in pair)
    shared = len(premise & hypothesis)
    return [shared / max(1, len(hypothesis)), shared / max(1, len(premise | hypothesis)), shared]


_LEARNERS = {
    "hypothesis_only": _hypothesis_only,
    "bag_of_words": _bag_of_words,
    "unordered_words": _unordered_words,
    "length": _tree(_length),
    "overlap": _tree(_overlap),
}
