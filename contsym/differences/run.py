"""`diff`: two checkpoints measured on the same pairs, and where they differ."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import contsym
from contsym.config import DEFAULT_FORM
from contsym.data.pair_rows import PairSource
from contsym.differences import LIMIT
from contsym.differences.files import are_same
from contsym.differences.schema import FORMAT, AnsweredPair, Diff, DiffTask
from contsym.differences.sentences import summary
from contsym.differences.tasks import BUNDLED_TASKS, N_FOLDS, check_names, load_pairs
from contsym.errors import SettingError
from contsym.models.encoders import checkpoints
from contsym.plugins import INSTALLED, Plugins
from contsym.training.progress import Progress, Silent, Steps

if TYPE_CHECKING:
    from contsym.data.schema import Form


def diff(
    old: str | Path,
    new: str | Path,
    tasks: Mapping[str, PairSource] | None = None,
    *,
    form: Form = DEFAULT_FORM,
    limit: int = LIMIT,
    seed: int = 0,
    put_back: bool = True,
    device: str = "auto",
    precision: str = "auto",
    plugins: Plugins = INSTALLED,
    progress: Progress | None = None,
) -> Diff:
    """Which abilities two checkpoints have, and where in the network they differ.

    `old` and `new` are folders, Hub ids or presets of encoders or classifiers. `tasks` adds to the bundled tasks, or
    replaces their source: under the name of a task a source as of `--mnli`, under any other name a file of labelled
    pairs, or rows in memory (an iterable of dicts with premise, hypothesis, label and perhaps relation, skill).
    `plugins` has the strategies of saved models that are not contsym's own. Of checkpoints that are the same nothing is
    measured.

    Raises EncoderError, DataError or SettingError before anything is encoded, where a checkpoint, the pairs or an
    option cannot be used.

    >>> from tempfile import mkdtemp
    >>> from contsym.testing.toy import nli_rows, save_encoder
    >>> folder = save_encoder(Path(mkdtemp()))
    >>> found = diff(folder, folder, {"toy": nli_rows()}, limit=40)
    >>> found.is_same, found.abilities
    (True, ())
    """
    started = time.perf_counter()
    if limit < 1 or seed < 0:
        raise SettingError(
            f"--limit {limit}, --seed {seed}: expected a limit of at least 1 and a seed of at least 0"
        )
    sources: dict[str, PairSource] = {**dict.fromkeys(BUNDLED_TASKS, "bundled"), **(tasks or {})}
    check_names(sources)
    steps = Steps(progress or Silent())
    steps.phase("looking at data and checkpoints", None)
    from contsym.machine import quiet_libraries

    quiet_libraries()
    # Before the data, since a wrong name is the likeliest mistake; both without torch.
    found = checkpoints.locate(str(old)), checkpoints.locate(str(new))
    is_same = are_same(*found)
    pairs = {
        name: load_pairs(name, source, seed=seed, limit=limit, form=form, plugins=plugins)
        for name, source in ({} if is_same else sources).items()
    }
    from contsym.differences.abilities import K_VOTES
    from contsym.differences.bench import Bench
    from contsym.differences.checkpoint import LoadedCheckpoint, with_facts
    from contsym.differences.geometry import K_NEIGHBOURS
    from contsym.differences.measuring import Measured, measure
    from contsym.differences.methods import SavedMethod, saved_method
    from contsym.models.encoders.device import choose_device, choose_precision, deterministic
    from contsym.results.metrics.matrix import majority_share

    files = [with_facts(each) for each in found]
    device = choose_device(device)
    used = choose_precision(precision, device)
    with deterministic(device):
        before, after = (LoadedCheckpoint(each, device, used) for each in files)
        measured, methods = Measured(), [SavedMethod(), SavedMethod()]
        if not is_same:
            methods = [
                saved_method(each, device, None if precision == "auto" else used, plugins) for each in files
            ]
            measured = measure(Bench(pairs, before, after, seed, steps), methods, put_back)
    compared = Diff(
        format=FORMAT,
        old=before.facts.model_copy(update={"run": methods[0].run}),
        new=after.facts.model_copy(update={"run": methods[1].run}),
        is_same=is_same,
        tasks=tuple(
            DiffTask(
                name=t.name,
                given=given(sources[t.name]),
                source=t.source,
                n=t.n,
                n_learned=len(t.labels) if t.folds is not None else 0,
                majority=majority_share(t.labels[: t.n]),
                notes=t.notes,
                pairs=tuple(
                    AnsweredPair(id=t.ids[i], premise=t.premises[i], hypothesis=t.hypotheses[i], label=label)
                    for i, label in enumerate(t.truth.tolist())
                ),
            )
            for t in pairs.values()
        ),
        abilities=measured.abilities,
        parts=measured.parts,
        transplants=measured.transplants,
        notes=measured.notes,
        summary=(),
        put_back=put_back,
        n_texts=measured.n_texts,
        reads=measured.reads,
        seed=seed,
        n_folds=N_FOLDS,
        k_votes=K_VOTES,
        k_neighbours=K_NEIGHBOURS,
        limit=limit,
        form=form,
        device=device,
        precision=used,
        contsym=contsym.__version__,
        seconds=round(time.perf_counter() - started, 1),
    )
    return compared.model_copy(update={"summary": summary(compared)})


def given(source: PairSource) -> str:
    return str(source) if isinstance(source, str | Path) else "rows"
