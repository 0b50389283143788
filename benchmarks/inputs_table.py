"""The tables of docs/untrusted-input.md, out of what benchmarks/fuzz.py and pytest measured.

    python -m benchmarks.fuzz --inputs 100000 --coverage --json fuzz.json
    python -m pytest tests/test_untrusted.py tests/test_odd_text.py tests/commands/test_secrets_and_ui.py \
      tests/commands/test_doctor.py -m "slow or not slow" --junit-xml inputs.xml
    python benchmarks/inputs_table.py inputs.xml fuzz.json [MORE.json ...]
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree  # of pytest's own report
from collections import Counter
from pathlib import Path
from typing import Any


def readers(paths: list[Path]) -> list[str]:
    """A line a reader, and a line a module where its coverage was measured."""
    found: dict[str, Any] = {"figures": [], "coverage": {}}
    for path in paths:
        one = json.loads(path.read_text("utf-8"))
        found["figures"] += one["figures"]
        found["coverage"] |= one["coverage"]
    lines = [
        "| reader | documents | read | refused | kinds of refusal | slowest | failures |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for each in found["figures"]:
        refused = each["documents"] - each["read"] - each["failures"]
        lines.append(
            f"| {each['reader']} | {each['documents']:,} | {each['read']:,} | {refused:,} | {each['kinds']:,} | "
            f"{each['slowest']:.2f} s | {each['failures']} |"
        )
    if found["coverage"]:
        lines += ["", "| module | lines reached |", "|---|---:|"]
        lines += [f"| `contsym/{name}` | {share:.1%} |" for name, share in found["coverage"].items()]
    return lines


def tests(path: Path) -> list[str]:
    """A line a test function: how many cases it has and how many of them held."""
    n, failed = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314 - the same
        file = case.attrib["classname"].rpartition(".")[2]
        key = file, case.attrib["name"].partition("[")[0].removeprefix("test_").replace("_", " ")
        n[key] += 1
        failed[key] += any(child.tag in ("failure", "error", "skipped") for child in case)
    lines = ["| file | what was tried | trials | held |", "|---|---|---:|---:|"]
    return lines + [
        f"| `{file}` | {name} | {n[file, name]} | {n[file, name] - failed[file, name]} |" for file, name in n
    ]


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    print("\n".join([*readers([Path(name) for name in sys.argv[2:]]), "", *tests(Path(sys.argv[1]))]))
