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
from typing import TYPE_CHECKING

from contsym import results
from contsym.config import DEFAULT_TARGET
from contsym.data.tasks import TASKS
from contsym.encodings import UntrainedEncodings
from contsym.errors import ContsymError

if TYPE_CHECKING:
    from contsym.run import Plan
    from contsym.seed_run import SeedRun

STATE, TENSORS = "state.json", "state.safetensors"
ENCODINGS = "encodings"


class Beginnings:
    """Kept beginnings in a folder, one folder each; whole or not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, run: SeedRun, seed: int) -> None:
        """Bring a new run behind its first experience, by what is kept or by its own work."""
        run.encoder.kept = self.encodings(run.plan)
        key = beginning_key(run.plan, seed)
        if key is None:
            return
        if not self.has(key):
            run.go_on()
            self._keep(key, run)
            return
        values, tensors = self._read(key)
        run.restore(values, tensors)

    def encodings(self, plan: Plan) -> UntrainedEncodings:
        """What the untrained encoder of the plan makes of texts, shared by all strategies and seeds."""
        return UntrainedEncodings(self.folder.with_name(ENCODINGS), plan)

    def drop_encodings(self) -> None:
        """Delete the untrained encodings; whoever wants one again makes it again."""
        shutil.rmtree(self.folder.with_name(ENCODINGS), ignore_errors=True)

    def has(self, key: str) -> bool:
        return (self.folder / key).is_dir()

    def drop(self, key: str) -> None:
        """Delete what no run needs any more."""
        shutil.rmtree(self.folder / key, ignore_errors=True)

    def _keep(self, key: str, run: SeedRun) -> None:
        from safetensors.torch import save_file

        values, tensors = run.state()

        def fill(folder: Path) -> None:
            (folder / STATE).write_text(results.to_json(values), encoding="utf-8")
            save_file({name: t.contiguous() for name, t in tensors.items()}, folder / TENSORS)

        try:
            results.write_whole(self.folder / key, fill)
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
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ContsymError(f"{folder}: a kept beginning cannot be read ({reason}); delete it") from None


def beginning_key(plan: Plan, seed: int) -> str | None:
    """The hash of all that the first experience depends on; None where it depends on the shots."""
    from contsym.run import key_of

    first, *rest = (task.task for task in plan.tasks)
    if not rest or TASKS[first].relational:
        return None
    config = plan.config
    sizes = {task: size for task, size in config.sizes.items() if task == first}
    noise = None if plan.tasks[0].label_noise is None else config.label_noise
    alike = replace(config, shots=None, sizes=sizes, target=DEFAULT_TARGET, label_noise=noise)
    return key_of(plan, seed, alike)
