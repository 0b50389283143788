"""The pairs of an experience, selected from its task's by form, relations, part and labels; and label noise."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from contsym.data.schema import (
    Dataset,
    Part,
    TaskData,
    check_row,
    content_fingerprint,
    renumbered,
    rows_of,
    selected,
    stable_hash,
    table,
)
from contsym.data.shots import subset_rows
from contsym.data.wikidata.pairs import DELEXICALISED_SUFFIX, in_form
from contsym.errors import DataError, SettingError, nearest
from contsym.scenarios.labels import LabelSpace
from contsym.scenarios.schema import Experience
from contsym.tasks.schema import NLI_LABELS, Task


def experience_data(task: TaskData, experience: Experience) -> TaskData:
    """The experience's selection of the task's pairs, under the experience's name.

    Each field of the experience restricts the training pairs, and unless `test` is "all" the validation and test
    pairs too. Raises DataError where a part has no pairs left, or the data do not allow the selection.
    """
    where = f"experience {experience.name}"
    parts = task.parts
    notes = list(task.notes)
    if experience.form == "delexicalised":
        # Reading the source in this form would re-split it; this keeps each pair on its side.
        parts = {part: _delexicalised(pairs, task.spec, where) for part, pairs in parts.items()}
        notes.append("entity names replaced by opaque ids")
    for keep, note in _restrictions(parts, task.labels, experience, where):
        for part, pairs in parts.items():
            if part == "train" or experience.test == "own":
                parts[part] = _where(pairs, keep)
        notes.append(note)
    for part, pairs in parts.items():
        if len(pairs) == 0 and (part == "test" or not experience.tested_only):
            name = "training" if part == "train" else part
            raise DataError(f"{where}: no {name} pairs are left ({'; '.join(notes) or task.source})")
    is_same = all(parts[part] is pairs for part, pairs in task.parts.items())
    return replace(
        task,
        name=experience.name,
        **parts,
        fingerprint=task.fingerprint if is_same else content_fingerprint(*parts.values()),
        notes=tuple(notes),
        label_noise=experience.label_noise,
        storing_only=experience.storing_only,
    )


def in_space(data: TaskData, space: LabelSpace, place: int) -> TaskData:
    """The data of an experience with the class numbers of its scenario's label space."""
    numbers = space.of_task[place]
    own = tuple(space.names[number] for number in space.own[place])
    if numbers == tuple(range(len(numbers))):
        return replace(data, labels=space.names, classes=numbers, own_labels=own)
    parts = {part: renumbered(pairs, numbers) for part, pairs in data.parts.items()}
    fingerprint = f"{data.fingerprint[:32]}{content_fingerprint(parts['test'])[:32]}"
    return replace(
        data, **parts, fingerprint=fingerprint, labels=space.names, classes=numbers, own_labels=own
    )


def limited(data: TaskData, n: int) -> TaskData:
    """The data with at most n pairs of each part, in which the labels take turns; the same data where no part has more."""
    parts = {
        part: selected(pairs, sorted(subset_rows(pairs, n, 0, "--limit").tolist()))
        if len(pairs) > n
        else pairs
        for part, pairs in data.parts.items()
    }
    if all(parts[part] is pairs for part, pairs in data.parts.items()):
        return data
    note = f"{n:,} {data.spec.examples} of each part (--limit)"
    return replace(data, **parts, fingerprint=content_fingerprint(*parts.values()), notes=(*data.notes, note))


_Row = Mapping[str, object]
_N_NAMED, _LONGEST_NAME = 50, 100  # names in a note, and their characters


def _restrictions(
    parts: Mapping[Part, Dataset], names: Sequence[str], experience: Experience, where: str
) -> Iterator[tuple[Callable[[_Row], bool], str]]:
    """(condition, remark) of each restriction. Relations are dealt by all pairs of the task. `names`: of all labels."""
    if experience.relations:
        known = sorted({name for pairs in parts.values() for name in pairs.unique("relation")} - {""})
        for name in experience.relations:
            if name not in known:
                raise DataError(f"{where}: relation {name!r} is not in the data; {nearest(name, known)}")
        remark = f"relations {_named(experience.relations)}"
        yield lambda row: row["relation"] in experience.relations, remark
    if experience.part:
        k, n = experience.part
        if experience.by == "relation":
            relations = deal_relations(parts, n, where)[k - 1]
            yield lambda row: row["relation"] in relations, f"part {k} of {n}: {_named(relations)}"
        else:
            yield lambda row: part_of_pair(str(row["id"]), n) == k, f"part {k} of {n}"
    if experience.labels:
        labels = {names.index(label) for label in experience.labels}
        yield lambda row: row["label"] in labels, f"{_named(experience.labels, ' and ')} only"


def _named(names: Sequence[str], between: str = ", ") -> str:
    """The first names and the number of the others: a stored note has at most 10,000 characters."""
    shown = between.join(name[:_LONGEST_NAME] for name in names[:_N_NAMED])
    return f"{shown} and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else shown


def deal_relations(parts: Mapping[Part, Dataset], n_parts: int, where: str) -> list[list[str]]:
    """The relations of each part: within each kind, the parts take turns, most training pairs first.

    So a part has both kinds where possible, in about equal numbers. The kind of a relation is that of most of its
    pairs; the name decides between equal counts. Raises DataError for fewer relations than parts.
    """
    n_train = Counter(parts["train"]["relation"][:])
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for pairs in parts.values():
        for relation, kind in zip(pairs["relation"][:], pairs["kind"][:], strict=True):
            if relation:
                kinds[relation][kind] += 1
    if len(kinds) < n_parts:
        raise DataError(
            f"{where}: {n_parts} parts by relation; the data have {len(kinds)} relations; expected at least one per part"
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


def part_of_pair(pair_id: str, n_parts: int) -> int:
    """The part of a pair by its id, counted from 1; the same for both forms."""
    return 1 + stable_hash("part", pair_id.removesuffix(DELEXICALISED_SUFFIX)) % n_parts


def flip_labels(
    pairs: Dataset, share: float, seed: int, among: Sequence[int], names: Sequence[str] = NLI_LABELS
) -> Dataset:
    """The pairs with round(share * n) labels replaced by another label out of `among`; kinds stay.

    `names` are those of all labels.

    A hash of the seed and the id draws the pairs, so a larger share flips the same pairs and more. Raises
    SettingError where `among` has no second label.
    """
    import pyarrow as pa
    from datasets import Dataset

    if len(set(among)) < 2 and round(share * len(pairs)):
        only = ", ".join(names[label] for label in set(among))
        raise SettingError(f"label noise needs two labels to choose from; the training pairs have {only}")
    labels, ids = pairs["label"][:], pairs["id"][:]
    order = sorted(range(len(pairs)), key=lambda row: stable_hash("noise", seed, ids[row]))
    for row in order[: round(share * len(pairs))]:
        others = sorted(set(among) - {labels[row]})
        labels[row] = others[stable_hash("label", seed, ids[row]) % len(others)]
    columns = pairs.with_format("arrow")[:]
    at = columns.schema.get_field_index("label")
    return Dataset(columns.set_column(at, "label", pa.array(labels, pa.int64())))


def _delexicalised(pairs: Dataset, task: Task, where: str) -> Dataset:
    rows = ({**row, "label": task.labels[row["label"]]} for row in rows_of(pairs))
    placed = ((f"{where}, pair {row['id']}", row) for row in rows)
    return table(check_row(row, place, task) for place, row in in_form(placed, "delexicalised"))


def _where(pairs: Dataset, keep: Callable[[_Row], bool]) -> Dataset:
    columns = {name: pairs[name][:] for name in ("id", "relation", "label")}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return selected(pairs, [i for i, row in enumerate(rows) if keep(row)])
