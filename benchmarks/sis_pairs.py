"""Make the bundled pairs of SIS out of its sentences: contsym/data/bundled/sis/test.jsonl.

    python benchmarks/sis_pairs.py SIS.jsonl --out contsym/data/bundled/sis/test.jsonl
    python benchmarks/sis_pairs.py SIS.jsonl --out contsym/data/bundled/sis/test.jsonl --check

Rows of SIS.jsonl have `id`, `premise`, `hypothesis` (the sentence with subject and object exchanged), `relation` (the verb),
`score` and `kind` (what the verb is called). `score` is the mean of seven votes from 1 (the same meaning) to 5. A twin
follows where it is below 3, the middle, which gives the published majority of 0.7225 (Tanchip et al. 2020). With
`--check` nothing is written: the command fails unless the file is as it would be made.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path

MIDDLE = 3
"""Of the scale of the votes; the three sentences with this mean are contradictions."""


def pair(row: Mapping[str, object]) -> dict[str, object]:
    """The bundled row of a sentence.

    >>> sentence = {"id": "1", "premise": "A met B.", "hypothesis": "B met A.", "relation": "meet", "score": 1.25}
    >>> pair({**sentence, "kind": "predicate called symmetric"})["label"]
    'entailment'
    >>> pair({**sentence, "kind": "predicate called symmetric", "score": 3.5})["label"]
    'contradiction'
    """
    score = float(str(row["score"]))
    return {
        "id": row["id"],
        "premise": row["premise"],
        "hypothesis": row["hypothesis"],
        "label": "entailment" if score < MIDDLE else "contradiction",
        "relation": row["relation"],
        "group": str(row["kind"]).replace("predicate", "verb"),
        "score": round(score, 4),
    }


def lines(text: str) -> str:
    """The bundled file, in the order of the ids."""
    rows = sorted((json.loads(line) for line in text.splitlines()), key=lambda row: row["id"])
    return "".join(json.dumps(pair(row), ensure_ascii=False) + "\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sentences", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args()
    made = lines(options.sentences.read_text("utf-8"))
    if not options.check:
        options.out.write_text(made, "utf-8", newline="\n")
    elif options.out.read_text("utf-8") != made:
        raise SystemExit(f"{options.out} is not what {options.sentences} gives")


if __name__ == "__main__":
    main()
