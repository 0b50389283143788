"""The measured tables of docs/, from nothing but data, the encoders and the package index.

Over 400 lines: the steps are a table.

    python benchmarks/evidence.py --to FOLDER [--jobs 2] [--only STEP,STEP]
    python benchmarks/evidence.py --to FOLDER --page docs/results.md
    python benchmarks/evidence.py --to FOLDER --pack
    python benchmarks/evidence.py --to FOLDER --unpack
    python benchmarks/evidence.py --list

Steps run in order, in this checkout, and read ../shared/data as the files in sweeps/ do. A finished command is not run
again, and a sweep that was stopped resumes: `FOLDER/steps.json` has the commands of each step that are done, its
seconds, the date and the commit. A failed command ends the run. With --page nothing is run: each block

    <!-- evidence: STEP TABLE -->
    ...
    <!-- /evidence -->

of the page gets the rows of the table that the report of the step has under this name. `TABLE columns 1,3` shows these
columns alone, `TABLE+TABLE` joins tables of one column, and the table `machine` is a line that says where and when the
results were measured.

The results behind these pages (docs/results.md, results-readings.md, results-streams.md, audit.md, language-models.md,
routed-adapters.md) are in benchmarks/evidence/, one archive per step. --pack writes them there, and --unpack puts them
into FOLDER, where `contsym report`, `show` and `compare` read them and a sweep resumes, if neither code nor versions nor
precision changed since.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from evidence_archive import pack, unpack

ROOT = Path(__file__).resolve().parents[1]
# This checkout's contsym, whichever is installed.
sys.path.insert(0, str(ROOT))

from contsym.training.fingerprint import git_commit  # noqa: E402

KEPT = ROOT / "benchmarks" / "evidence"
BLOCK = re.compile(
    r"(<!-- evidence: (\S+) (\S+)(?: columns ([\d,]+))? -->\n).*?(<!-- /evidence -->)", re.DOTALL
)


@dataclass(frozen=True)
class Step:
    name: str
    what: str
    commands: tuple[str, ...]
    """In which {to} (a folder of the step's own), {all} (that of all steps) and {jobs} are filled in.
    `contsym` is this checkout's, `python` this interpreter."""


def sweep(
    name: str, what: str, config: str, *more: str, options: str = "", before: Sequence[str] = ()
) -> Step:
    """Run a sweep, then what more is to be done with it, then the report; `before` comes first."""
    run = f"contsym sweep --config {config} {options} --jobs {{jobs}} --output {{to}}"
    report = "contsym report --output {to} --to {to}/report"
    return Step(name, what, (*before, " ".join(run.split()), *more, report))


PROMPTS = (
    "contsym sweep --strategies prompt_llm --set k=0,4,16 --scenario wikidata_only --encoder data/smollm --shots 48 "
    "--seeds 1 --no-audit --no-curve --jobs {jobs} --output {to}"
)
STEPS = (
    Step(
        "mpnet",
        "weights of the second encoder",
        ("python benchmarks/mpnet_weights.py --downloads {to}/downloads",),
    ),
    Step(
        "pairs",
        "pairs of WordNet and of sentences of Wikipedia",
        (
            "python benchmarks/evidence.py --triples ../shared/data/crossdomain/wn18rr.jsonl {to}/wn18rr.txt",
            "contsym data build --triples {to}/wn18rr.txt --relations wordnet --balance --to data/wordnet",
            "contsym data sentences ../shared/data/tasks/fewrel.jsonl --to data/fewrel_pairs.jsonl",
            "contsym data build --triples ../shared/data/codex/triples.tsv --form delexicalised --split relation "
            "--to data/codex",
        ),
    ),
    Step(
        "published",
        "leaks and shortcuts of the published pairs",
        tuple(
            f"contsym data audit ../shared/data/asymmetricity --shots 64 --seed {seed}" for seed in range(3)
        ),
    ),
    sweep(
        "audit",
        "a rule learned, or a label bias: six methods, 5 seeds",
        "sweeps/audit.toml",
        "contsym audit latest --output {to}",
    ),
    sweep(
        "other-domains",
        "trained on Wikidata, tested elsewhere: four methods, 5 seeds",
        "sweeps/other-domains/wikidata.toml",
    ),
    sweep(
        "predicates", "the same with made-up sentences learned first", "sweeps/other-domains/predicates.toml"
    ),
    sweep("codex", "unseen relations of a built dataset", "sweeps/other-domains/codex.toml"),
    sweep(
        "stream",
        "four tasks of single texts: six strategies, two add-ons, 5 seeds",
        "sweeps/own-tasks/text-stream.toml",
    ),
    sweep(
        "sentences",
        "sixteen relations in sentences, four at a time: the same strategies",
        "sweeps/own-tasks/relations-in-sentences.toml",
    ),
    sweep("rte", "a task with another label after MNLI, 5 seeds", "sweeps/own-tasks/mnli-then-rte.toml"),
    sweep(
        "routed-adapters",
        "an adapter per task: 48 pairs, 5 seeds",
        "sweeps/methods.toml",
        options="--strategies routed_adapters --shots 48 --seeds 5",
    ),
    sweep("methods-64", "every method on 64 pairs, 5 seeds", "sweeps/methods.toml", options="--seeds 5"),
    sweep("methods-16", "on 16 pairs", "sweeps/methods.toml", options="--seeds 5 --shots 16"),
    sweep(
        "methods-64-sequential",
        "on 64 pairs, MNLI learned by the method itself",
        "sweeps/methods.toml",
        options="--seeds 5 --protocol sequential --encoder minilm-nli",
    ),
    sweep(
        "methods-16-sequential",
        "on 16 pairs, MNLI learned by the method itself",
        "sweeps/methods.toml",
        options="--seeds 5 --shots 16 --protocol sequential --encoder minilm-nli",
    ),
    sweep(
        "paper-one-pass",
        "the main reading of the paper's table, 10 seeds",
        "sweeps/paper-one-pass.toml",
    ),
    sweep(
        "paper-least",
        "its other main reading: the smallest training set, 10 seeds",
        "sweeps/paper-least.toml",
    ),
    sweep(
        "paper",
        "the paper's table under every reading, 2 and 10 seeds",
        "sweeps/paper.toml",
        before=tuple(
            f"python benchmarks/evidence.py --reuse {{all}}/{name} {{to}}"
            for name in ("paper-one-pass", "paper-least")
        ),
    ),
    *(
        sweep(
            f"{name}-mpnet",
            "the same reading with the second encoder, 3 seeds",
            f"sweeps/{name}.toml",
            options="--encoder mpnet --seeds 3",
        )
        for name in ("paper-one-pass", "paper-least")
    ),
    *(
        Step(
            f"default-{name}",
            f"validation accuracy by {name}",
            (f"contsym sweep --config sweeps/defaults/{name}.toml --jobs {{jobs}} --output {{to}}",),
        )
        for name in sorted(path.stem for path in (ROOT / "sweeps" / "defaults").glob("*.toml"))
    ),
    Step(
        "prompts",
        "a small language model, asked with 0, 4 and 16 examples",
        (
            "python benchmarks/smollm_weights.py data/smollm",
            PROMPTS,
            "contsym report --output {to} --to {to}/report",
        ),
    ),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(__doc__ or "").partition("\n")[2],
    )
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="results, reports and steps.json")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="cells of a sweep at a time")
    parser.add_argument("--only", metavar="STEP,STEP", help="these steps alone")
    parser.add_argument("--page", type=Path, metavar="FILE", help="fill in the tables of this page")
    parser.add_argument("--pack", action="store_true", help="keep the results in benchmarks/evidence/")
    parser.add_argument("--unpack", action="store_true", help="put the kept results into FOLDER")
    parser.add_argument("--list", action="store_true", help="show the steps, with their seconds")
    parser.add_argument("--triples", type=Path, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--reuse", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.triples:
        write_triples(*given.triples)
        return
    if given.reuse:
        reuse(*given.reuse)
        return
    steps = chosen(given.only, parser.error)
    if given.list:
        ran = read_steps(given.to) if given.to else {}
        for step in steps:
            found = ran.get(step.name, {"done": []})
            n, n_done = len(step.commands), len(set(step.commands) & set(found["done"]))
            state = (
                f"{n_done} of {n} commands, {found['seconds']:,.0f} s, {found['date']}"
                if n_done
                else "not run"
            )
            print(f"{step.name:<22}  {step.what} ({state})")
        return
    if given.to is None:
        parser.error("--to FOLDER is missing; expected where results are, or are to go")
    if given.page:
        if missing := fill(given.page, given.to):
            print(f"{given.page}: without results, and left as they are: {', '.join(missing)}")
        return
    to = given.to.resolve()
    if given.pack or given.unpack:
        keep(steps, to) if given.pack else put_back(steps, to)
        return
    for step in steps:
        run(step, to, given.jobs)


def chosen(only: str | None, error: Callable[[str], Any]) -> list[Step]:
    """The steps with these names; all by default."""
    names = [step.name for step in STEPS]
    asked = names if only is None else only.split(",")
    if unknown := [name for name in asked if name not in names]:
        error(f"--only {unknown[0]}: no such step; expected {', '.join(names)}")
    return [step for step in STEPS if step.name in asked]


def read_steps(to: Path) -> dict[str, Any]:
    path = to / "steps.json"
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def run(step: Step, to: Path, jobs: int) -> None:
    """Run those of a step's commands that are not done, one after the other; SystemExit where one fails."""
    folder = to / step.name
    folder.mkdir(parents=True, exist_ok=True)
    for command in step.commands:
        steps = read_steps(to)
        state = steps.setdefault(step.name, {"seconds": 0.0, "done": []})
        if command in state["done"]:
            continue
        words = [word.format(to=folder, all=to, jobs=jobs) for word in shlex.split(command)]
        print(f"{step.name}: {shlex.join(words)}", flush=True)
        start = {"contsym": ["-m", "contsym"], "python": []}[words[0]]
        began = time.perf_counter()
        with (folder / "log.txt").open("a", encoding="utf-8") as log:
            done = subprocess.run(
                [sys.executable, *start, *words[1:]], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
            )
        if done.returncode:
            raise SystemExit(
                f"{step.name} ended with {done.returncode}; {folder / 'log.txt'} says why, and the same command resumes"
            )
        state["done"].append(command)
        state["seconds"] = round(state["seconds"] + time.perf_counter() - began, 1)
        state |= {"date": date.today().isoformat(), "commit": git_commit()}
        write_steps(to, steps)


def write_steps(to: Path, steps: dict[str, Any]) -> None:
    (to / "steps.json").write_text(json.dumps(steps, indent=1) + "\n", "utf-8")


def keep(steps: Sequence[Step], to: Path) -> None:
    """Pack the results of these steps, also of a sweep that was stopped, into benchmarks/evidence/."""
    kept, ran = read_steps(KEPT), read_steps(to)
    for step in steps:
        if any((to / step.name).glob("results/*/result.json")):
            archive = KEPT / f"{step.name}.tar.xz"
            print(f"{step.name}: {pack(to / step.name, archive)} results, {archive.stat().st_size:,} bytes")
            kept.pop(step.name, None)
            if step.name in ran:
                # A report is made again from its results.
                done = [c for c in ran[step.name]["done"] if not c.startswith("contsym report")]
                kept[step.name] = ran[step.name] | {"done": done}
    write_steps(KEPT, kept)


def put_back(steps: Sequence[Step], to: Path) -> None:
    """Unpack the kept results of these steps into `to`."""
    kept, there = read_steps(KEPT), read_steps(to)
    for step in steps:
        archive = KEPT / f"{step.name}.tar.xz"
        if archive.exists():
            print(f"{step.name}: {unpack(archive, to / step.name)} results")
            there.update({step.name: kept[step.name]} if step.name in kept else {})
    write_steps(to, there)


def fill(page: Path, to: Path) -> list[str]:
    """Put the tables of the reports into the page's blocks; the blocks without one stay, and are given."""
    missing = []

    def filled(found: re.Match[str]) -> str:
        head, step, names, columns, end = found.groups()
        if names == "machine":
            lines = [line] if (line := machine(to / step)) else []
        else:
            paths = [to / step / "report" / "tables" / f"{name}.md" for name in names.split("+")]
            lines = table(
                [path.read_text("utf-8") for path in paths] if all(map(Path.exists, paths)) else [], columns
            )
        if not lines:
            missing.append(f"{step} {names}")
            return found[0]
        return head + "".join(f"{line}\n" for line in lines) + end

    page.write_text(BLOCK.sub(filled, page.read_text("utf-8")), "utf-8")
    return missing


def table(texts: Sequence[str], columns: str | None) -> list[str]:
    """The lines of a table of Markdown files.

    Several tables are joined by their first column; the title of one with a single other column becomes that column's.
    `columns` has the numbers of the columns that are shown, as "1,3"; None: all.

    >>> sis = "**Accuracy on SIS, at the end**\\n\\n| a | 8 |\\n|---|---:|\\n| x | 0.5 |\\n"
    >>> word = "**W**\\n\\n| a | 8 |\\n|---|---:|\\n| x | 1 |\\n"
    >>> table([sis, word], None)
    ['| a | SIS | W |', '|---|---:|---:|', '| x | 0.5 | 1 |']
    >>> table([sis], "2")
    ['| 8 |', '|---:|', '| 0.5 |']
    """
    rows: list[list[str]] = []
    for text in texts:
        cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
        if len(texts) > 1 and len(cells[0]) == 2:
            title = text.partition("**")[2].partition("**")[0]
            cells[0][1] = f" {title.removeprefix('Accuracy on ').removesuffix(', at the end')} "
        if not rows:
            rows = cells
            continue
        others = {row[0]: row[1:] for row in cells[2:]}
        rows = [
            rows[0] + cells[0][1:],
            rows[1] + cells[1][1:],
            *(row + others.get(row[0], [" – "] * (len(cells[0]) - 1)) for row in rows[2:]),
        ]
    if columns:
        rows = [[row[int(number) - 1] for number in columns.split(",")] for row in rows]
    return [f"|{'|'.join(row)}|" for row in rows]


def reuse(results: Path, to: Path) -> None:
    """Copy the results of one step into another's folder, whose sweep does not train them again."""
    for folder in sorted((results / "results").glob("[!.]*")):
        if not (to / "results" / folder.name).exists():
            shutil.copytree(folder, to / "results" / folder.name)


def machine(folder: Path) -> str:
    """Where, when and from which code the results of a step are; empty where there are none.

    Those that its sweep does not list are left out: a step may have been given results that its code cannot use.
    """
    records = [json.loads(path.read_text("utf-8")) for path in folder.glob("runs/*/run.json")]
    listed = {cell["key"] for record in records for cell in record["cells"]}
    facts = [
        json.loads(path.read_text("utf-8"))
        for path in sorted(folder.glob("results/*/result.json"))
        if not listed or path.parent.name in listed
    ]
    if not facts:
        return ""

    def words(values: Iterable[object]) -> str:
        return ", ".join(sorted({str(value) for value in values}))

    days = sorted({fact["started_at"][:10] for fact in facts})
    threads = words(fact["threads"] for fact in facts)
    return (
        f"{len(facts)} results, {days[0]}{f' to {days[-1]}' if days[1:] else ''}: "
        f"{'; '.join(sorted({fact['processor'] for fact in facts}))}; {words(fact['precision'] for fact in facts)}, "
        f"threads per cell: {threads}; commit {words((fact['git_commit'] or 'unknown')[:7] for fact in facts)}."
    )


def write_triples(rows: Path, to: Path) -> None:
    """Lines of `head<TAB>relation<TAB>tail` out of JSON Lines with these fields."""
    lines = (json.loads(line) for line in rows.read_text("utf-8").splitlines())
    to.write_text("".join(f"{row['head']}\t{row['relation']}\t{row['tail']}\n" for row in lines), "utf-8")


if __name__ == "__main__":
    main()
