"""An experience's pairs out of its task's: form, relations, part and labels; and noise for a seed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from contsym.data.schema import LABELS, TaskData, check_row, content_fingerprint, rows_of, stable_hash, table
from contsym.data.wikidata.pairs import DELEXICALISED_SUFFIX, in_form
from contsym.errors import DataError, SettingError, nearest

if TYPE_CHECKING:
    from datasets import Dataset

    from contsym.scenarios.schema import Experience


def experience_data(task: TaskData, experience: Experience) -> TaskData:
    """What the experience has of the task's pairs, under the experience's name.

    A field of the experience restricts the training pairs, and unless `test` is "all" the test
    pairs too. Raises DataError where it leaves a part without pairs, or the data do not allow it.
    """
    where = f"experience {experience.name}"
    train, test = task.train, task.test
    notes = list(task.notes)
    if experience.form == "delexicalised":
        # Of the same pairs, on the same side: reading the source in this form would split it anew.
        train, test = (_delexicalised(pairs, where) for pairs in (train, test))
        notes.append("entity names replaced by opaque ids")
    for keep, note in _restrictions(train, test, experience, where):
        train = _where(train, keep)
        test = _where(test, keep) if experience.test == "own" else test
        notes.append(note)
    for part, pairs in (("training", train), ("test", test)):
        if len(pairs) == 0:
            raise DataError(f"{where}: no {part} pairs are left ({'; '.join(notes) or task.source})")
    is_same = train is task.train and test is task.test
    return replace(
        task,
        name=experience.name,
        train=train,
        test=test,
        fingerprint=task.fingerprint if is_same else content_fingerprint(train, test),
        notes=tuple(notes),
        label_noise=experience.label_noise,
        storing_only=experience.storing_only,
    )


_Row = Mapping[str, object]


def _restrictions(
    train: Dataset, test: Dataset, experience: Experience, where: str
) -> Iterator[tuple[Callable[[_Row], bool], str]]:
    """What is kept, and what is said of it. Dealing knows all pairs of the task, whatever else is left out."""
    if experience.relations:
        known = sorted({*train.unique("relation"), *test.unique("relation")} - {""})
        for name in experience.relations:
            if name not in known:
                raise DataError(f"{where}: relation {name!r} is not in the data; {nearest(name, known)}")
        yield (
            lambda row: row["relation"] in experience.relations,
            f"relations {', '.join(experience.relations)}",
        )
    if experience.part and experience.by == "relation":
        k, n = experience.part
        own = deal_relations(train, test, n, where)[k - 1]
        yield lambda row: row["relation"] in own, f"part {k} of {n}: {', '.join(own)}"
    if experience.part and experience.by == "pair":
        k, n = experience.part
        yield lambda row: dealt_to(str(row["id"]), n) == k, f"part {k} of {n}"
    if experience.labels:
        wanted = {LABELS.index(label) for label in experience.labels}
        yield lambda row: row["label"] in wanted, f"{' and '.join(experience.labels)} only"


def deal_relations(train: Dataset, test: Dataset, n_parts: int, where: str) -> list[list[str]]:
    """The relations of each part: of each kind, those with most training pairs first, dealt to the parts in turn.

    So both kinds are in a part as long as there are relations of both, and a part's two kinds are
    about as frequent. A relation is of the kind that most of its pairs are of; equally frequent
    ones go by their names. Raises DataError where there are fewer relations than parts.
    """
    n_train = Counter(train["relation"][:])
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for pairs in (train, test):
        for relation, kind in zip(pairs["relation"][:], pairs["kind"][:], strict=True):
            if relation:
                kinds[relation][kind] += 1
    if len(kinds) < n_parts:
        raise DataError(
            f"{where}: {n_parts} parts by relation; the data have {len(kinds)} relations, one a part at most"
        )
    by_kind: dict[str, list[str]] = defaultdict(list)
    for relation in sorted(kinds, key=lambda name: (-n_train[name], name)):
        of_kinds = {kind: n for kind, n in kinds[relation].items() if kind} or {"": 1}
        by_kind[max(of_kinds, key=lambda kind: (of_kinds[kind], kind))].append(relation)
    dealt: list[list[str]] = [[] for _ in range(n_parts)]
    for relations in by_kind.values():
        for i, relation in enumerate(relations):
            dealt[i % n_parts].append(relation)
    if empty := [str(k) for k, part in enumerate(dealt, 1) if not part]:
        most = max(map(len, by_kind.values()))
        raise DataError(
            f"{where}: part {', '.join(empty)} of {n_parts} would have no relation; the data have at most {most} "
            f"of one kind; expected at most {most} parts"
        )
    return dealt


def dealt_to(pair_id: str, n_parts: int) -> int:
    """The part, from 1, that a pair goes to by its id, in both forms alike."""
    return 1 + stable_hash("part", pair_id.removesuffix(DELEXICALISED_SUFFIX)) % n_parts


def flip_labels(pairs: Dataset, share: float, seed: int, among: Sequence[int]) -> Dataset:
    """The pairs with round(share * n) labels replaced by another label out of `among`.

    Which ones is drawn by the seed and each pair's id, so a larger share flips the same ones and
    more. Kinds stay what they are. Raises SettingError where `among` has no second label.
    """
    if len(set(among)) < 2 and round(share * len(pairs)):
        only = ", ".join(LABELS[label] for label in set(among))
        raise SettingError(f"label noise needs two labels to choose from; the training pairs have {only}")
    labels, ids = pairs["label"][:], pairs["id"][:]
    order = sorted(range(len(pairs)), key=lambda row: stable_hash("noise", seed, ids[row]))
    for row in order[: round(share * len(pairs))]:
        others = sorted(set(among) - {labels[row]})
        labels[row] = others[stable_hash("label", seed, ids[row]) % len(others)]
    return _with_labels(pairs, labels)


def _with_labels(pairs: Dataset, labels: list[int]) -> Dataset:
    import pyarrow as pa
    from datasets import Dataset

    columns = pairs.with_format("arrow")[:]
    at = columns.schema.get_field_index("label")
    return Dataset(columns.set_column(at, "label", pa.array(labels, pa.int64())))


def _delexicalised(pairs: Dataset, where: str) -> Dataset:
    rows = ({**row, "label": LABELS[row["label"]]} for row in rows_of(pairs))
    placed = ((f"{where}, pair {row['id']}", row) for row in rows)
    return table(check_row(row, place) for place, row in in_form(placed, "delexicalised"))


def _where(pairs: Dataset, keep: Callable[[_Row], bool]) -> Dataset:
    columns = {name: pairs[name][:] for name in ("id", "relation", "label")}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return pairs.select([i for i, row in enumerate(rows) if keep(row)])
