"""How long contsym takes against what one would use instead: ratios of one run, taken by turns.

    python benchmarks/speed.py --mnli ../shared/data/mnli --wikidata ../shared/data/asymmetricity
    python benchmarks/speed.py --only startup,queries --repeats 9 --json found.json
    python benchmarks/speed.py --json benchmarks/ratios.json --page docs/performance.md
    python benchmarks/speed.py --check benchmarks/ratios.json
    python benchmarks/speed.py --device cuda --only gpu

A measure is a module of benchmarks/speed/, whose docstring says what is compared with what, and how equal results are
made sure of. A ratio is the other way's seconds over contsym's, the median over the rounds; --repeats counts the rounds of
short measures, --long-repeats those of first_answer, until_099, sweep, paper_table and default_run. At the end stands
the table of what a researcher waits for, each row with its aim.

--json writes after each measure. It keeps the file's figures of other measures, if they are of the same machine, libraries
and data, and shows them in the table. With --page nothing is measured: the table of --json goes into the page, between
`<!-- speed -->` and `<!-- /speed -->`, and every comparison where the first mark is `<!-- speed all -->`. --check reads
such a file and fails where a ratio has fallen by more than a fifth of itself, also when it is measured once more.
--smoke takes toy sizes: it shows that everything runs, and nothing else.

encode, first_answer and until_099 need `pip install -e '.[bench]'`. The encoder must be on this machine already.
Exit codes: 0; 1 where results disagree or a ratio has fallen; 2 for a mistake in what was asked.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import re
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

# Before any library reads them: nothing here needs a network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
from contsym.machine import waiting

os.environ.update(waiting())

from speed.ratios import Comparison, Options, fallen
from speed.table import details, table

from contsym.errors import ContsymError, SettingError, nearest

MEASURES = (
    *("encode", "step", "queries", "startup", "planning", "second_start", "first_batch", "default_run"),
    *("first_answer", "until_099", "sweep", "paper_table", "gpu"),
)
BLOCK = re.compile(r"(<!-- speed( all)? -->\n).*?(<!-- /speed -->)", re.DOTALL)
DEFAULT = tuple(name for name in MEASURES if name != "gpu")


def main() -> None:
    given = parser().parse_args()
    try:
        sys.exit(run(given))
    except ContsymError as error:
        sys.exit(_failed(str(error)))
    except ModuleNotFoundError as error:
        if error.name not in ("sentence_transformers", "setfit", "matplotlib"):
            raise
        sys.exit(_failed(f"{error.name} is not installed; install it with: pip install -e '.[bench]'"))


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    known = Options()
    found.add_argument("--only", metavar="LIST", help=f"of {','.join(MEASURES)}; default: all but gpu")
    found.add_argument("--repeats", type=int, default=known.repeats, metavar="N")
    found.add_argument("--long-repeats", type=int, default=known.long_repeats, metavar="N")
    found.add_argument("--device", default=known.device, help="cpu, cuda or cuda:N")
    found.add_argument("--encoder", default=known.encoder)
    found.add_argument("--mnli", default=known.mnli, metavar="SOURCE")
    found.add_argument("--wikidata", default=known.wikidata, metavar="SOURCE")
    found.add_argument("--memory-index", default=known.memory_index, metavar="NAME")
    found.add_argument("--json", type=Path, metavar="FILE", help="write what was measured")
    found.add_argument("--page", type=Path, metavar="FILE", help="put the table of --json into this page")
    found.add_argument("--check", type=Path, metavar="FILE", help="fail where a ratio of it has fallen")
    found.add_argument("--smoke", action="store_true", help="toy sizes")
    return found


def run(given: argparse.Namespace) -> int:
    """Measure, print, write and check; the exit code."""
    names = chosen(given.only)
    for option in ("repeats", "long_repeats"):
        if getattr(given, option) < 1:
            raise SettingError(
                f"--{option.replace('_', '-')} {getattr(given, option)}: expected at least 1 round"
            )
    if given.json and not given.json.absolute().parent.is_dir():
        raise SettingError(f"--json {given.json}: no such folder; make it first")
    options = Options(**{name: getattr(given, name) for name in asdict(Options())})
    if given.page:
        if not given.json:
            raise SettingError("--page: expected --json FILE too, with what was measured")
        fill(given.page, given.json)
        return 0
    # Before anything is measured: an unreadable file should not cost an hour.
    kept = read_ratios(given.check, options) if given.check else {}
    # Avalanche imports qpsolvers, whose solvers only GEM needs.
    warnings.filterwarnings("ignore", message="no QP solver found")
    from contsym.machine import quiet_libraries
    from contsym.models.encoders.device import choose_device

    choose_device(options.device)
    quiet_libraries()
    with tempfile.TemporaryDirectory() as folder:
        options = toy(options, Path(folder)) if options.smoke else options
        others = read_others(given.json, options) if given.json and given.json.exists() else []
        found: list[Comparison] = []
        for name in names:
            found += measured([name], options)
            others = [each for each in others if each.measure != name]
            if given.json:
                whole = record([*others, *found], options)
                given.json.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
        print(f"\n{table([*others, *found])}")
        agree = all(each.agrees for each in found)
        if not agree:
            print("results disagree: see the table", file=sys.stderr)
        return max(int(not agree), int(bool(given.check and has_fallen(found, kept, options))))


def chosen(only: str | None) -> tuple[str, ...]:
    if only is None:
        return DEFAULT
    names = tuple(name.strip() for name in only.split(","))
    for name in names:
        if name not in MEASURES:
            raise SettingError(f"--only {name}: no such measure; {nearest(name, MEASURES)}")
    return names


def toy(options: Options, folder: Path) -> Options:
    """The options with the toy tasks and an encoder of 32 dimensions, which has an NLI head."""
    import torch
    from safetensors.torch import save_file

    from contsym.models.encoders.nli_head import NLI_HEAD
    from contsym.testing.toy import save_encoder, write_tasks

    encoder = save_encoder(folder / "encoder")
    weight = torch.randn(3, 4 * 32, generator=torch.Generator().manual_seed(0))
    save_file({"linear.weight": weight, "linear.bias": torch.zeros(3)}, encoder / NLI_HEAD)
    return replace(options, encoder=str(encoder), **write_tasks(folder / "tasks"))


def measured(names: Sequence[str], options: Options) -> list[Comparison]:
    """What each measure finds, shown as soon as it is there."""
    found: list[Comparison] = []
    for name in names:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        # Trainers of other libraries print as they go; stdout is for the ratios.
        with contextlib.redirect_stdout(sys.stderr):
            new = importlib.import_module(f"speed.{name}").measure(options)
        print(lines(new), flush=True)
        found += new
    return found


def lines(found: Sequence[Comparison]) -> str:
    """Three lines a comparison, for a terminal of 100 columns or more."""
    shown = []
    for each in found:
        low, high = min(each.ratios), max(each.ratios)
        aim = "" if each.aim is None else f", aim {each.aim:g}: {'met' if each.is_met else 'missed'}"
        shown.append(
            f"{each.key}\n    {each.ratio:.2f}{'x' if each.theirs else ''} ({low:.2f} to {high:.2f}, "
            f"n={len(each.ratios)}{aim})"
            + (f"; contsym {mean(each.ours):.3g} s, other {mean(each.theirs):.3g} s" if each.theirs else "")
            + f"\n    {'same result' if each.agrees else 'RESULTS DISAGREE'}: {each.agreement}"
        )
        shown += [f"    {name}: {fact}" for name, fact in each.facts.items()]
    return "\n".join(shown)


def mean(seconds: Sequence[float]) -> float:
    return sum(seconds) / len(seconds)


SAME = ("processor", "amx", "gpu", "threads", "versions", "smoke")
"""What figures of one file have in common, beside the options that name data."""


def read_json(path: Path) -> tuple[dict[str, Any], list[Comparison]]:
    """What `--json` wrote. Raises SettingError for anything else."""
    try:
        kept = json.loads(path.read_bytes())
        found = [Comparison.of_dict(each) for each in kept["comparisons"]]
        if missing := {*SAME, "options"} - kept.keys():
            raise KeyError(*missing)
    except OSError as error:
        raise SettingError(f"--json {path}: {error.strerror}; expected what --json wrote") from None
    except (ValueError, KeyError, TypeError):
        raise SettingError(
            f"--json {path}: no file of figures, or one of an earlier version; name another file"
        ) from None
    return kept, found


def read_others(path: Path, options: Options) -> list[Comparison]:
    """What a file has already. Raises SettingError where it is of another machine, other libraries or other data."""
    kept, found = read_json(path)
    # Toy data and encoders lie elsewhere each time.
    data = () if options.smoke else ("encoder", "mnli", "wikidata")
    was = {**{name: kept[name] for name in SAME}, **{name: kept["options"].get(name) for name in data}}
    now = {**record([], options), **{name: getattr(options, name) for name in data}}
    if other := [name for name in was if was[name] != now[name]]:
        raise SettingError(
            f"--json {path}: of other {other[0]} ({was[other[0]]}, now {now[other[0]]}); name another file"
        )
    return found


def fill(page: Path, path: Path) -> None:
    """Put the table of a file into a page, and a line that says where and when it was measured."""
    kept, found = read_json(path)
    dates = sorted({each.date for each in found})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    where = f"{machine_line(kept)}, {when}; `{path.as_posix()}`."

    def filled(mark: re.Match[str]) -> str:
        rows = details(found) if mark[2] else table(found)
        return f"{mark[1]}{rows}\n\n{where}\n{mark[3]}"

    text, n = BLOCK.subn(filled, page.read_text("utf-8") if page.exists() else "")
    if not n:
        raise SettingError(
            f"--page {page}: no place for the table; expected a page with <!-- speed --> and <!-- /speed -->"
        )
    page.write_text(text, "utf-8")


def machine_line(kept: dict[str, Any]) -> str:
    return f"{kept['processor']}, {'with' if kept['amx'] else 'no'} AMX, {kept['threads']} threads"


def record(found: Sequence[Comparison], options: Options) -> dict[str, object]:
    """What --json writes: the machine, the options and every comparison."""
    import torch

    from contsym.machine import n_threads, platform_name, processor_name
    from contsym.training.fingerprint import git_commit, library_versions

    return {
        "date": time.strftime("%Y-%m-%d"),
        "platform": platform_name(),
        "processor": processor_name(options.device),
        "threads": n_threads(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "amx": torch.cpu._is_amx_tile_supported(),
        "gpu": torch.cuda.get_device_name() if options.device.startswith("cuda") else None,
        "commit": git_commit(),
        "versions": library_versions(),
        "smoke": options.smoke,
        "options": asdict(options),
        "comparisons": [each.as_dict() for each in found],
    }


def read_ratios(path: Path, options: Options) -> dict[str, float]:
    """The ratios by comparison of a file that --json wrote."""
    try:
        kept = json.loads(path.read_bytes())
        ratios = {each["key"]: float(each["ratio"]) for each in kept["comparisons"]}
        device, was_smoke = kept["options"]["device"], bool(kept["smoke"])
    except OSError as error:
        raise SettingError(f"--check {path}: {error.strerror}; write one with --json {path}") from None
    except (ValueError, KeyError, TypeError):
        raise SettingError(f"--check {path}: no file of ratios; write one with --json {path}") from None
    if was_smoke != options.smoke or device != options.device:
        of = f"{'--smoke' if was_smoke else 'full sizes'} on {device}"
        raise SettingError(f"--check {path}: its ratios are of {of}; ask for the same, or write another")
    return ratios


def has_fallen(found: Sequence[Comparison], kept: dict[str, float], options: Options) -> bool:
    """Whether a ratio has fallen on two tries; the second measures again what has fallen on the first."""
    for each in found:
        if each.key not in kept:
            print(f"not in the file, so not checked: {each.key}")
    down = fallen(found, kept)
    if not down:
        print(f"none of {sum(each.key in kept for each in found)} ratios has fallen")
        return False
    again = tuple(dict.fromkeys(each.measure for each in found if each.key in down))
    print(f"fallen on the first try: {', '.join(down)}; measuring again: {', '.join(again)}")
    down = {key: pair for key, pair in fallen(measured(again, options), kept).items() if key in down}
    for key, (before, now) in down.items():
        print(f"FALLEN: {key}: {before:.2f}x before, {now:.2f}x now")
    return bool(down)


def _failed(message: str) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
