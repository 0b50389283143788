"""The labels of pairs, as a table, as JSON lines or as CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from contsym.commands.views.tables import PlainTable, add_numbers, plain_table, shown
from contsym.data.schema import rows_of
from contsym.files import shield

if TYPE_CHECKING:
    from datasets import Dataset

    from contsym.training.trained import Neighbour, Scored

READABLE = 18
"""Characters of a text beside each other."""

Voters = Sequence[Sequence["Neighbour"]] | None


def show(pairs: Dataset, scored: Scored, voters: Voters, form: str) -> None:
    """Print pairs with their labels on stdout; `voters` are the neighbours of each pair."""
    if form == "table":
        _show_table(pairs, scored, voters)
        return
    if form == "jsonl":
        for answer in answers(pairs, scored, voters):
            print(json.dumps(answer, ensure_ascii=False, allow_nan=False))
        return
    writer = csv.writer(sys.stdout)
    explained = [] if voters is None else ["neighbours"]
    texts_of = texts_in(pairs)
    writer.writerow(["id", *texts_of, "label", *scored.labels, *explained])
    for answer in answers(pairs, scored, voters):
        texts = [shield(answer[name]) for name in ("id", *texts_of, "label")]
        cells = [f"{share:.6f}" for share in answer["probabilities"].values()]
        more = [json.dumps(answer["neighbours"], ensure_ascii=False)] if explained else []
        writer.writerow([*texts, *cells, *more])


def texts_in(pairs: Dataset) -> tuple[str, ...]:
    """The columns of the texts: a single text has no hypothesis."""
    return ("premise", "hypothesis") if any(pairs["hypothesis"][:]) else ("text",)


def answers(pairs: Dataset, scored: Scored, voters: Voters) -> Iterator[dict[str, Any]]:
    """The answer for each pair as plain values: label, probabilities and scores by label, perhaps neighbours."""
    texts_of = texts_in(pairs)
    each = zip(
        rows_of(pairs), scored.best, scored.probabilities.tolist(), scored.scores.tolist(), strict=True
    )
    for i, (pair, label, shares, scores) in enumerate(each):
        texts = (
            {"text": pair["premise"]} if texts_of == ("text",) else {name: pair[name] for name in texts_of}
        )
        answer = {"id": pair["id"], **texts}
        answer |= {"label": label, "probabilities": dict(zip(scored.labels, shares, strict=True))}
        answer |= {"scores": dict(zip(scored.labels, scores, strict=True))}
        if voters is not None:
            answer["neighbours"] = [asdict(voter) for voter in voters[i]]
        yield answer


def _show_table(pairs: Dataset, scored: Scored, voters: Voters) -> None:
    """The probability of every label, or where the terminal is too narrow that of the chosen one."""
    from rich.console import Console

    console = Console(highlight=False)
    found, texts_of = list(answers(pairs, scored, voters)), texts_in(pairs)
    table = _table(found, texts_of, scored.labels)
    if not table.fits(console, console.options):
        table = _table(found, texts_of, None)
    console.print(table)


def _table(
    found: Sequence[Mapping[str, Any]], texts_of: Sequence[str], labels: Sequence[str] | None
) -> PlainTable:
    """With a column for each of these labels; None: with one for the probability of the chosen label."""
    is_explained = any("neighbours" in answer for answer in found)
    table = plain_table("", *texts_of)
    table.title = None
    for column, name in zip(table.columns, texts_of, strict=True):
        # Nobody reads a sentence with one word per line: better one probability than all of them.
        column.min_width = (
            min(READABLE, max((len(answer[name]) for answer in found), default=0)) if labels else None
        )
    table.add_column("label", no_wrap=True)
    add_numbers(table, *(labels or ["probability"]), *(["distance"] if is_explained else []))
    for answer in found:
        texts = [shown(answer[name]) for name in (*texts_of, "label")]
        shares = answer["probabilities"]
        table.add_row(*texts, *(f"{shares[name]:.1%}" for name in labels or [answer["label"]]))
        for voter in answer.get("neighbours", ()):
            names = [("premise" if name == "text" else name) for name in (*texts_of, "label")]
            row = [shown(f"  {voter[name]}", "dim") for name in names]
            blank = [""] * len(labels or [""])
            table.add_row(*row, *blank, shown(f"{voter['distance']:.3f}", "dim"))
    return table
