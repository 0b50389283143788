"""The first experience of a scenario, trained once and kept for all runs that begin alike.

What MNLI makes of an encoder does not depend on how many Wikidata pairs come after it. A beginning
is the state of a run behind its first experience, under the hash of all that decided it, as
safetensors and JSON; a run that finds its own goes on from there.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym.config import DEFAULT_TARGET, RunConfig
from contsym.data.tasks import TASKS
from contsym.errors import ContsymError, first_line
from contsym.files import to_json, write_whole
from contsym.models.encoders.vector_cache import UntrainedEncodings
from contsym.strategies.catalog import split_name
from contsym.training.fingerprint import code_sha256, library_versions
from contsym.training.plan import pretraining_config

if TYPE_CHECKING:
    from torch import Tensor

    from contsym.training.loop import SeedRun
    from contsym.training.plan import Plan
    from contsym.training.progress import Progress


STATE, TENSORS, REUSED = "state.json", "state.safetensors", "reused"
ENCODINGS = "encodings"


class Beginnings:
    """Kept beginnings in a folder, one folder each; whole or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, run: SeedRun, seed: int) -> None:
        """Bring a new run behind its first experience, by what is kept or by its own work."""
        run.encoder.cache = self.encodings(run.plan, run.start.key if run.start else "")
        # Under retrain the shared part is behind the run already.
        key = None if run.start else beginning_key(beginning_plan(run.plan), seed)
        if key is None:
            return
        if not self.has(key):
            # A strategy and its add-ons begin as the strategy alone does.
            run.go_on()
            self._keep(key, run)
            return
        values, tensors = self._read(key)
        run.restore(values, tensors)

    def make(self, plan: Plan, seed: int, progress: Progress) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The kept beginning of a plan that has one, trained first where it is not there yet."""
        from contsym.training.loop import SeedRun

        key = beginning_key(plan, seed)
        assert key is not None, "a plan without a beginning"
        if not self.has(key):
            parts = [plan.training_part(task, seed) for task in plan.tasks]
            self.begin(SeedRun(plan, parts, seed, progress), seed)
        return self._read(key)

    def mark_for_reuse(self, key: str) -> None:
        """Let a beginning stay when the sweep that made it has no more use for it."""
        (self.folder / key / REUSED).touch()

    def encodings(self, plan: Plan, start: str = "") -> UntrainedEncodings:
        """What the encoder of the plan makes of texts before this run trains it, shared by all strategies;
        `start` names the weights where they are not the checkpoint's."""
        facts = [
            plan.encoder.weights_sha256,
            plan.pooling.facts().model_dump(),
            start,
            plan.precision,
            plan.device,
        ]
        made_by = [*facts, code_sha256("contsym.models.encoders.load"), library_versions()]
        return UntrainedEncodings(self.folder.with_name(ENCODINGS), made_by)

    def drop_encodings(self) -> None:
        """Delete the untrained encodings; whoever wants one again makes it again."""
        shutil.rmtree(self.folder.with_name(ENCODINGS), ignore_errors=True)

    def has(self, key: str) -> bool:
        return (self.folder / key).is_dir()

    def drop(self, key: str) -> None:
        """Delete what no run needs any more, unless it was marked for reuse."""
        if not (self.folder / key / REUSED).exists():
            shutil.rmtree(self.folder / key, ignore_errors=True)

    def _keep(self, key: str, run: SeedRun) -> None:
        from safetensors.torch import save_file

        values, tensors = run.state()

        def fill(folder: Path) -> None:
            (folder / STATE).write_text(to_json(values), encoding="utf-8")
            save_file({name: t.contiguous() for name, t in tensors.items()}, folder / TENSORS)

        try:
            write_whole(self.folder / key, fill)
        except OSError as error:
            # Another process kept the same one in the meantime: equal to the bit.
            if not self.has(key):
                raise ContsymError(f"{self.folder}: cannot be written ({error.strerror})") from None

    def _read(self, key: str):
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = self.folder / key
        try:
            return json.loads((folder / STATE).read_text("utf-8")), load_file(folder / TENSORS)
        except (OSError, ValueError, SafetensorError) as error:
            raise ContsymError(
                f"{folder}: a kept beginning cannot be read ({first_line(error)}); delete it"
            ) from None


def beginning_config(config: RunConfig) -> RunConfig:
    """The run whose first experience a run of this config goes on from: without add-ons, which act later,
    and under retrain the fine-tuning that makes its encoder."""
    if config.protocol == "retrain":
        return pretraining_config(config)
    base, on_top = split_name(config.strategy)
    settings = {
        name: value
        for name, value in config.settings.items()
        if not any(name.startswith(f"{part}_") for part in on_top)
    }
    return replace(config, strategy=base, settings=settings)


def beginning_plan(plan: Plan) -> Plan:
    """The plan of `beginning_config`."""
    from contsym.training.plan import resolved

    config = beginning_config(plan.config)
    return plan if config == plan.config else resolved(plan, config)


def beginning_key(plan: Plan, seed: int) -> str | None:
    """The hash of all that the first experience depends on; None where it depends on the shots."""
    from contsym.training.plan import key_of

    first, *rest = (task.task for task in plan.tasks)
    if not rest or TASKS[first].relational:
        return None
    config = plan.config
    sizes = {task: size for task, size in config.sizes.items() if task == first}
    noise = None if plan.tasks[0].label_noise is None else config.label_noise
    alike = replace(config, shots=None, sizes=sizes, target=DEFAULT_TARGET, label_noise=noise)
    return key_of(plan, seed, alike)
