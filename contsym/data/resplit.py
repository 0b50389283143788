"""Loaded pairs re-split into train and test by one of the split rules."""

from __future__ import annotations

from collections.abc import Sequence

from contsym.data.schema import Dataset, alike, selected
from contsym.data.splits import SPLIT_RULES, Split, SplitRule, assign, check
from contsym.data.sql import open_engine
from contsym.data.wikidata.pairs import DELEXICALISED_SUFFIX, phrasing_of
from contsym.errors import SettingError
from contsym.tasks.schema import NLI_LABELS

SEED = 0
"""Seed of the split, not of the run: every seed of a run is measured on the same test pairs."""
_BATCH = 4096


def resplit(
    parts: Sequence[Dataset], rule: SplitRule, test_share: float, labels: Sequence[str] = NLI_LABELS
) -> tuple[list[Dataset], list[str]]:
    """[train, test] by the rule out of all pairs of `parts`, and remarks on the pairs left out.

    `labels` are the names of the class numbers. The two forms of one pair go to the same side. Raises SettingError for
    pairs without entities, and for neutral pairs, whose hypotheses have other entities than the premise.
    """
    import datasets

    refused = labels.index("neutral") if "neutral" in labels else None
    *rows, split = sides(parts, rule, test_share, SEED, refused=refused)
    notes = [f"re-split: {rule} ({SPLIT_RULES[rule]})"]
    notes += [split.remark] if split.remark else []
    notes += [f"left out: {n} {reason}" for reason, n in split.n_left_out.items()]
    pairs = datasets.concatenate_datasets(list(parts))
    return [selected(pairs, side) for side in rows], notes


def sides(
    parts: Sequence[Dataset], rule: SplitRule, share: float, seed: int, *, refused: int | None = None
) -> tuple[list[int], list[int], Split]:
    """Row numbers of the first and of the second side of the rule; the second is about `share` of the pairs.

    Neutral pairs go by their premise, unless their class number is `refused`. Raises as `resplit`, and DataError where
    the pairs do not allow the rule.
    """
    import datasets

    pairs = datasets.concatenate_datasets(list(parts))
    with open_engine() as con:
        con.execute(
            "CREATE TABLE loaded (row BIGINT, id VARCHAR, relation VARCHAR, kind VARCHAR, a VARCHAR, b VARCHAR, "
            "phrasing VARCHAR)"
        )
        for start in range(0, len(pairs), _BATCH):
            con.register("batch", _described(pairs, start, rule, refused))
            con.execute("INSERT INTO loaded SELECT * FROM batch")
            con.unregister("batch")
        # One row per pair: the delexicalised twin has the pair's id and a suffix.
        con.execute(
            f"""CREATE VIEW pairs AS SELECT * FROM loaded WHERE NOT (suffix(id, '{DELEXICALISED_SUFFIX}')
            AND left(id, -{len(DELEXICALISED_SUFFIX)}) IN (SELECT id FROM loaded))"""
        )
        split = assign(con, rule, share, seed)
        check(con, "(SELECT * FROM pairs JOIN sides USING (row))", rule)
        con.execute(
            f"""CREATE TABLE placed AS SELECT row, is_test FROM sides
            UNION ALL SELECT l.row, bool_and(s.is_test) FROM loaded l
            JOIN pairs p ON p.id || '{DELEXICALISED_SUFFIX}' = l.id JOIN sides s ON s.row = p.row
            GROUP BY l.row HAVING count(DISTINCT s.is_test) = 1"""
        )
        first, second = (
            con.execute("SELECT row FROM placed WHERE is_test = ? ORDER BY row", [side])
            .fetchnumpy()["row"]
            .tolist()
            for side in (False, True)
        )
    return first, second, split


def _described(pairs: Dataset, start: int, rule: SplitRule, refused: int | None):
    import pyarrow as pa

    batch = pairs[start : start + _BATCH]
    rows = zip(*(batch[name] for name in ("premise", "subject", "object", "label", "id")), strict=True)
    a, b, phrasing = [], [], []
    for premise, subject, object_, label, pair_id in rows:
        if not (subject and object_):
            raise SettingError(
                f"--split {rule}: pair {pair_id} has no entities; give fields 'subject' and 'object', or leave "
                "--split out"
            )
        if label == refused:
            raise SettingError(
                f"--split {rule}: pair {pair_id} is neutral, and the entities of its hypothesis are unknown; "
                f"build the dataset with: contsym data build --split {rule}"
            )
        first, second = sorted((alike(subject), alike(object_)))
        a.append(first)
        b.append(second)
        phrasing.append(phrasing_of(premise, subject, object_))
    columns = {"row": range(start, start + len(a)), "id": batch["id"], "relation": batch["relation"],
               "kind": batch["kind"], "a": a, "b": b, "phrasing": phrasing}  # fmt: skip
    return pa.table({name: pa.array(list(values)) for name, values in columns.items()})
