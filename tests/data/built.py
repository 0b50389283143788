"""Small datasets built for a test, and read back as plain rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from contsym.data.wikidata.build import BuildOptions, build

Triple = tuple[str, str, str]


def triples_file(folder: Path, triples: Iterable[Sequence[str]]) -> Path:
    path = folder / "triples.tsv"
    path.write_text("".join("\t".join(cells) + "\n" for cells in triples), encoding="utf-8")
    return path


def built(folder: Path, triples: Iterable[Sequence[str]] | Path, **options: Any) -> dict[str, Any]:
    """The manifest, with all rows of both parts under `rows`; each row has its part."""
    path = triples if isinstance(triples, Path) else triples_file(folder, triples)
    out = options.pop("out", folder / "out")
    made = build(BuildOptions(triples=path, out=out, **options))
    return {**made, "rows": rows_of(out)}


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [
        {**row, "part": part}
        for part in ("train", "test")
        for row in pq.read_table(out / f"{part}.parquet").to_pylist()
    ]


def couples(n: int, relation: str = "P26", prefix: str = "person") -> list[Triple]:
    """n pairs of distinct entities, each stated once."""
    return [(f"{prefix} {i} a", relation, f"{prefix} {i} b") for i in range(n)]
