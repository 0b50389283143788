"""The state of a run after its first task, cached for all runs that share it.

What MNLI makes of an encoder does not depend on how many Wikidata pairs come after it. The state is cached as
safetensors and JSON under the hash of all that decides it; a run that finds it resumes from there.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contsym.config import RunConfig
from contsym.errors import ContsymError, first_line
from contsym.files import drop, save_tensors, to_json, write_whole
from contsym.models.encoders.vector_cache import UntrainedEncodings
from contsym.strategies.catalog import split_name
from contsym.training.fingerprint import code_sha256, library_facts
from contsym.training.keys import encoder_facts, first_task_key
from contsym.training.plan import pretraining_config, resolved

if TYPE_CHECKING:
    from torch import Tensor

    from contsym.plugins import Plugins
    from contsym.training.loop import SeedRun
    from contsym.training.plan import Plan
    from contsym.training.progress import Progress


STATE, TENSORS, PINNED = "state.json", "state.safetensors", "pinned"
ENCODINGS = "encodings"


def first_tasks_folder(output: Path) -> Path:
    return output / "first_tasks"


class FirstTaskCache:
    """States in a folder, one folder per key; each appears atomically."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fast_forward(self, run: SeedRun, seed: int, base: Plan | None = None) -> None:
        """Bring a new run to the end of its first experience, by a cached state or by training, which is then cached.

        `base` is the plan that trains it; default: the run's own without add-ons.
        """
        run.encoder.cache = self.encodings(run.plan, run.start.key if run.start else "")
        # Under retrain the first task is known already.
        base = first_task_plan(run.plan) if base is None else base
        key = None if run.start else first_task_key(base, seed)
        if key is None:
            return
        if base is run.plan and not self.has(key):
            run.train_next()
            self._write(key, run)
        else:
            # A strategy with add-ons trains its first task as the strategy alone does; `restore` adds the add-ons' costs.
            run.restore(*self.make(base, seed, run.progress))

    def make(self, plan: Plan, seed: int, progress: Progress) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """The state of a plan that has one, as (plain values, tensors); trained first where it is not cached."""
        from contsym.models.encoders.device import deterministic
        from contsym.training.loop import SeedRun

        key = first_task_key(plan, seed)
        assert key is not None, "a plan whose first task cannot be shared"
        while True:
            if not self.has(key):
                parts = [plan.training_part(task, seed) for task in plan.trained]
                with deterministic(plan.device):
                    self.fast_forward(SeedRun(plan, parts, seed, progress), seed)
            try:
                return self._read(key)
            except ContsymError:
                # Gone: another sweep that shares it has just ended.
                if self.has(key):
                    raise

    def pin(self, key: str) -> None:
        """Keep a state when the sweep that made it does not need it any more."""
        (self.folder / key / PINNED).touch()

    def encodings(self, plan: Plan, start: str = "") -> UntrainedEncodings:
        """The vectors of texts before this run trains the encoder, shared by all strategies; `start` names the
        weights where they are not the checkpoint's."""
        made_by = [
            encoder_facts(plan),
            start,
            code_sha256("contsym.models.encoders.load"),
            library_facts(),
        ]
        return UntrainedEncodings(self.folder.with_name(ENCODINGS), made_by)

    def drop_encodings(self) -> None:
        """Delete the encodings of untrained encoders; they are made again when a run asks for them."""
        shutil.rmtree(self.folder.with_name(ENCODINGS), ignore_errors=True)

    def has(self, key: str) -> bool:
        return (self.folder / key).is_dir()

    def drop(self, key: str) -> None:
        """Delete a state that no run needs any more, unless it is pinned."""
        if not (self.folder / key / PINNED).exists():
            # Half of a state would look like a damaged one.
            with suppress(OSError):
                drop(self.folder / key)

    def _write(self, key: str, run: SeedRun) -> None:
        assert not run.plan.is_trial, "a trial has predictions of validation pairs"
        values, tensors = run.state()

        def fill(folder: Path) -> None:
            (folder / STATE).write_text(to_json(values), encoding="utf-8")
            save_tensors(tensors, folder / TENSORS)

        try:
            write_whole(self.folder / key, fill)
        except OSError as error:
            # Another process may have cached the same state first: equal to the bit.
            if not self.has(key):
                raise ContsymError(f"{self.folder}: cannot be written ({error.strerror})") from None

    def _read(self, key: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = self.folder / key
        try:
            return json.loads((folder / STATE).read_text("utf-8")), load_file(folder / TENSORS)
        except (OSError, ValueError, SafetensorError) as error:
            raise ContsymError(
                f"{folder}: a cached first task cannot be read ({first_line(error)}); delete it"
            ) from None


def first_task_config(config: RunConfig, plugins: Plugins) -> RunConfig:
    """The run whose first experience a run of this config resumes from: without add-ons, which act later,
    and under retrain the fine-tuning that makes its encoder."""
    if config.protocol == "retrain":
        return pretraining_config(config)
    base, on_top = split_name(config.strategy, plugins)
    settings = {
        name: value
        for name, value in config.settings.items()
        if not any(name.startswith(f"{part}_") for part in on_top)
    }
    return replace(config, strategy=base, settings=settings)


def first_task_plan(plan: Plan) -> Plan:
    """The plan of `first_task_config`; the plan itself where an add-on needs the steps of the first experience."""
    needs_steps = any(addon.needs_first_steps for addon in plan.strategy.addons)
    if needs_steps and plan.config.protocol != "retrain":
        return plan
    config = first_task_config(plan.config, plan.plugins)
    return plan if config == plan.config else resolved(plan, config)
