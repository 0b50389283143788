"""Checks of the machine, the libraries, the folders and the encoder, each with a remedy for what does not work.

A check never raises, takes no longer than it says, and leaves nothing behind.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import contsym
from contsym.data import hub_client
from contsym.errors import ContsymError, one_line
from contsym.machine import n_cores

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet


State = Literal["ok", "note", "bad"]
"""`note`: a run works without it, or slower. `bad`: a run cannot work."""

PYTHONS = ((3, 11), (3, 13))
"""The first and the last version that contsym is tested with."""
LIBRARIES = (
    *("torch", "torchvision", "transformers", "avalanche-lib", "datasets", "duckdb", "faiss-cpu", "mlflow"),
    *("numpy", "pyarrow", "pydantic", "safetensors", "scikit-learn", "peft"),
)
LARGE_MODULES = ("torch", "transformers", "avalanche", "mlflow")
"""Those that take the longest to compile."""
ROOM_NEEDED = 1 << 30
"""Free bytes in the output folder below which a run may fail."""
MEMORY_NEEDED = 4 << 30
NETWORK_SECONDS = 5
"""The time limit per address, with `--network`."""


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    name: str
    state: State
    text: str
    remedy: str = ""


@dataclass(frozen=True)
class Request:
    """The options of `contsym doctor`."""

    output: Path
    encoder: str = "minilm-nli"
    """That of the default run."""
    tracking_uri: str | None = None
    device: str = "auto"
    precision: str = "auto"
    network: bool = False


def examine(request: Request) -> Iterator[Finding]:
    """The findings of every check, as they come; an exception in a check is a finding."""
    for check in CHECKS:
        try:
            yield from check(request)
        except Exception as error:
            name = check.__name__.strip("_").replace("_", " ")
            reason = one_line(f"{type(error).__name__}: {error}")[:200]
            yield Finding(name, "bad", f"the check failed ({reason})", "report this with the line above")


def _of_error(name: str, state: State, error: ContsymError) -> Finding:
    """An error of contsym, whose last clause says what to do."""
    text, _, remedy = str(error).rpartition("; ")
    return Finding(name, state, text, remedy) if text else Finding(name, state, remedy)


def works(findings: Sequence[Finding]) -> bool:
    """Whether a run can work."""
    return all(finding.state != "bad" for finding in findings)


def as_plain(findings: Sequence[Finding]) -> dict[str, Any]:
    """What `--json` prints."""
    plain = [{"what": f.name, "state": f.state, "found": f.text, "remedy": f.remedy} for f in findings]
    return {"works": works(findings), "findings": plain}


def _python(request: Request) -> Iterator[Finding]:
    first, last = PYTHONS
    expected = f"expected {'.'.join(map(str, first))} to {'.'.join(map(str, last))}"
    if first <= sys.version_info[:2] <= last:
        yield Finding("Python", "ok", platform.python_version())
    else:
        yield Finding("Python", "bad", platform.python_version(), expected)
    yield Finding("contsym", "ok", f"{contsym.__version__} in {Path(contsym.__file__).parent}")


def _machine(request: Request) -> Iterator[Finding]:
    shown = f"{platform.system()} {platform.machine()}, {n_cores()} cores"
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        yield Finding("machine", "ok", shown)
        return
    shown += f", {memory / 2**30:.1f} GiB of memory"
    remedy = "a run with MiniLM takes about 2 GiB; close other programs"
    yield Finding("machine", *(("note", shown, remedy) if memory < MEMORY_NEEDED else ("ok", shown)))


def _libraries(request: Request) -> Iterator[Finding]:
    versions: dict[str, str] = {}
    missing = []
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("libraries", "bad", f"not installed: {', '.join(missing)}", "pip install contsym again")
    else:
        yield Finding("libraries", "ok", ", ".join(f"{name} {v}" for name, v in versions.items()))
    if "torch" in versions and "torchvision" in versions:
        yield _torch_and_torchvision(versions["torch"], versions["torchvision"])


def _torch_and_torchvision(torch_version: str, torchvision_version: str) -> Finding:
    """Whether torchvision, which Avalanche imports, is built for the release of torch."""
    both = f"torch {torch_version}, torchvision {torchvision_version}"
    torch_release, _, torch_build = torch_version.partition("+")
    wanted = _wanted_torch("torchvision")
    if wanted and not wanted.contains(torch_release, prereleases=True):
        problem = f"torchvision wants torch {wanted}"
    elif torch_build != torchvision_version.partition("+")[2]:
        problem = "of two builds"
    else:
        try:
            import torch
            import torchvision  # noqa: F401 -- to see whether its operators load
        except Exception as error:
            problem = f"cannot be imported ({one_line(str(error))[:160]})"
        else:
            n = torch.get_num_threads()
            return Finding("torch and torchvision", "ok", f"{both}, {n} thread{'s' * (n != 1)}")
    remedy = "pip install --force-reinstall torch torchvision in one command, from one index"
    return Finding("torch and torchvision", "bad", f"{both}; {problem}", remedy)


def _wanted_torch(package: str) -> SpecifierSet | None:
    """The releases of torch that a package asks for; None where it asks for none."""
    from packaging.requirements import Requirement

    for requirement in map(Requirement, metadata.requires(package) or ()):
        if requirement.name == "torch" and requirement.marker is None:
            return requirement.specifier
    return None


def _bytecode(request: Request) -> Iterator[Finding]:
    """Whether Python keeps what it compiles of the libraries; pip compiles them, uv leaves it to their first import."""
    sources = [Path(spec.origin) for name in LARGE_MODULES if (spec := find_spec(name)) and spec.origin]
    not_kept = [source for source in sources if not Path(cache_from_source(source)).exists()]
    if not not_kept:
        yield Finding("bytecode", "ok", "the libraries are compiled")
        return
    folder = not_kept[0].parent.parent
    if sys.dont_write_bytecode:
        reason, remedy = "PYTHONDONTWRITEBYTECODE is set", "unset it, or run once: "
    elif sys.pycache_prefix is None and not os.access(folder, os.W_OK):
        reason, remedy = f"{folder} cannot be written", "run once, as its owner: "
    else:
        yield Finding("bytecode", "ok", "the first run compiles the libraries, and takes longer")
        return
    shown = f"each command compiles the libraries anew ({reason})"
    yield Finding("bytecode", "note", shown, f"{remedy}python -m compileall -q -j 0 {folder}")


def _device(request: Request) -> Iterator[Finding]:
    from contsym.models.encoders.device import choose_device, choose_precision

    try:
        device = choose_device(request.device)
    except ContsymError as error:
        yield _of_error("device", "bad", error)
        return
    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "torch sees no GPU"
    yield Finding("device", "ok", f"{device} ({name})" if request.device != "cpu" else device)
    yield Finding("precision", "ok", choose_precision(request.precision, device))


def _output(request: Request) -> Iterator[Finding]:
    from contsym.results.store import check_writable

    try:
        check_writable(request.output)
    except ContsymError as error:
        yield _of_error("output folder", "bad", error)
        return
    remedy = "make room, or choose another with --output"
    yield _room("output folder", request.output.resolve(), ROOM_NEEDED, "bad", remedy)
    # Tables of pairs are mapped from the temporary folder.
    try:
        folder = Path(tempfile.gettempdir())
        with tempfile.TemporaryFile(dir=folder):
            remedy = "set TMPDIR to a folder with more room"
            yield _room("temporary folder", folder, ROOM_NEEDED // 4, "note", remedy)
    except OSError as error:
        remedy = "set TMPDIR to a folder that you may write to"
        yield Finding("temporary folder", "bad", one_line(str(error)), remedy)


def _room(name: str, folder: Path, needed: int, if_full: State, remedy: str) -> Finding:
    # The folder itself may not be there yet.
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    shown = f"{folder}, {free / 2**30:.1f} GiB free"
    return Finding(name, if_full, shown, remedy) if free < needed else Finding(name, "ok", shown)


def _store(request: Request) -> Iterator[Finding]:
    from contsym.results.tracking import display_uri, is_local, probe, resolve_uri

    uri = resolve_uri(request.output, request.tracking_uri)
    shown = display_uri(uri)
    if not is_local(uri) and not request.network:
        yield Finding("MLflow store", "note", f"{shown}; not asked", "add --network to ask it")
        return
    try:
        yield Finding("MLflow store", "ok", f"{shown}; {probe(request.output, uri)}")
    except ContsymError as error:
        # Only a note, since results are stored without it.
        yield _of_error("MLflow store", "note", error)


def _encoder(request: Request) -> Iterator[Finding]:
    from contsym.models.encoders.checkpoints import locate

    try:
        files = locate(request.encoder, fetch=request.network)
    except ContsymError as error:
        yield _of_error("encoder", "bad", error)
        return
    yield Finding("encoder", "ok", f"{files.name}: {files.origin}, SHA-256 {files.weights_sha256[:12]}")


def _caches(request: Request) -> Iterator[Finding]:
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    offline = " (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else ""
    if not cache.is_dir():
        yield Finding("Hub cache", "ok", f"{cache}: not there yet{offline}")
        return
    n = sum(path.name.startswith(("models--", "datasets--")) for path in cache.iterdir())
    shown = f"{cache}: {n} repositories{offline}"
    remedy = "it cannot be written; set HF_HOME to a folder that you may write to"
    yield Finding("Hub cache", *(("ok", shown) if os.access(cache, os.W_OK) else ("note", shown, remedy)))


def _network(request: Request) -> Iterator[Finding]:
    if not request.network:
        yield Finding("network", "ok", "not asked, and not needed with local data and encoder")
        return
    import urllib.error
    import urllib.request

    from huggingface_hub import constants

    shown = hub_client.endpoint()
    try:
        # HEAD, since any answer will do.
        head = urllib.request.Request(constants.ENDPOINT, method="HEAD")  # noqa: S310 - the Hub's own address
        with urllib.request.urlopen(head, timeout=NETWORK_SECONDS) as answer:  # noqa: S310 - the same
            yield Finding("network", "ok", f"{shown} answers ({answer.status})")
    except urllib.error.HTTPError as error:
        yield Finding("network", "ok", f"{shown} answers ({error.code})")
    except OSError as error:
        reason = one_line(str(getattr(error, "reason", None) or error))[:160]
        remedy = "give local data and a local encoder"
        yield Finding("network", "note", f"{shown} does not answer ({reason})", remedy)


CHECKS: tuple[Callable[[Request], Iterator[Finding]], ...] = (
    *(_python, _machine, _libraries, _bytecode, _device, _output, _store, _encoder, _caches, _network),
)
