"""Tasks by name: contsym's own, from a plug-in, or in a user's file."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

from contsym.errors import ContsymError, unknown_name
from contsym.plugins import INSTALLED, Plugin, Plugins
from contsym.tasks.schema import FIRST, Task, read_task


def tasks(plugins: Plugins = INSTALLED) -> Mapping[str, Task]:
    """All tasks by name, plug-ins last; the name is the file's."""
    return plugins.with_own("task", own_tasks(), _plugin_task)


@cache
def own_tasks() -> Mapping[str, Task]:
    """contsym's own tasks: first those of the paper, then the others by name."""
    files = {p.name: p for p in resources.files("contsym.tasks").iterdir() if p.name.endswith(".toml")}
    names = dict.fromkeys([*(f"{name}.toml" for name in FIRST), *sorted(files)])
    return {name[:-5]: read_task(name[:-5], files[name].read_text("utf-8"), name) for name in names}


def as_task(task: Task | str) -> Task:
    """A task, or contsym's own of this name. Raises ContsymError for an unknown one."""
    return find_task(task) if isinstance(task, str) else task


@cache
def _plugin_task(plugin: Plugin) -> Task:
    return read_task(plugin.name, plugin.text, plugin.origin, plugin.path.parent)


def find_task(name: str, plugins: Plugins = INSTALLED) -> Task:
    """The task of this name. Raises ContsymError, with the nearest names, for an unknown one."""
    known = tasks(plugins)
    if name.endswith(".toml"):
        raise ContsymError(
            f"task {name}: a file; expected a name, as {Path(name).stem}, beside --plugin {name}, which gives the file"
        )
    if name not in known:
        raise unknown_name("task", name, known)
    return known[name]
