"""What works here and what to do about what does not: the machine, the libraries, the folders, the encoder.

Each check is a function that gives findings; it never raises and never takes longer than it says. Nothing is
changed but the output folder, which is made if it is not there, as a run would.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
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
ROOM_NEEDED = 1 << 30
"""Free bytes in the output folder below which a run may not end."""
MEMORY_NEEDED = 4 << 30
NETWORK_SECONDS = 5
"""For each address that `--network` asks."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: State
    found: str
    remedy: str = ""
    """What to do about it; empty where nothing need be done."""


@dataclass(frozen=True)
class Asked:
    """What to look at."""

    output: Path
    encoder: str = "minilm"
    uri: str | None = None
    device: str = "auto"
    precision: str = "auto"
    network: bool = False


def examine(asked: Asked) -> Iterator[Finding]:
    """Every check in order; each is told as it is done. A check that fails itself is a finding."""
    for check in CHECKS:
        try:
            yield from check(asked)
        except Exception as error:
            name = check.__name__.strip("_").replace("_", " ")
            reason = one_line(f"{type(error).__name__}: {error}")[:200]
            yield Finding(
                name, "bad", f"could not be looked at ({reason})", "report this with the line above"
            )


def works(findings: list[Finding]) -> bool:
    """Whether a run can work."""
    return all(finding.state != "bad" for finding in findings)


def as_plain(findings: list[Finding]) -> dict[str, Any]:
    """What `--json` prints."""
    return {"works": works(findings), "findings": [asdict(finding) for finding in findings]}


def _python(asked: Asked) -> Iterator[Finding]:
    first, last = PYTHONS
    version = platform.python_version()
    fits = first <= sys.version_info[:2] <= last
    expected = f"expected {'.'.join(map(str, first))} to {'.'.join(map(str, last))}"
    yield Finding("Python", "ok" if fits else "bad", version, "" if fits else expected)
    yield Finding("contsym", "ok", f"{contsym.__version__} in {Path(contsym.__file__).parent}")


def _machine(asked: Asked) -> Iterator[Finding]:
    cores = n_cores()
    memory = _memory()
    shown = f"{platform.system()} {platform.machine()}, {cores} cores"
    if memory is None:
        yield Finding("machine", "ok", shown)
        return
    small = memory < MEMORY_NEEDED
    yield Finding(
        "machine",
        "note" if small else "ok",
        f"{shown}, {memory / 2**30:.1f} GiB of memory",
        "a run with MiniLM takes about 2 GiB; close other programs" if small else "",
    )


def _memory() -> int | None:
    """Bytes of memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _libraries(asked: Asked) -> Iterator[Finding]:
    versions: dict[str, str] = {}
    missing = []
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    shown = ", ".join(f"{name} {version}" for name, version in versions.items())
    if missing:
        yield Finding("libraries", "bad", f"not installed: {', '.join(missing)}", "pip install contsym again")
    else:
        yield Finding("libraries", "ok", shown)
    yield from _torch_and_torchvision(versions)


def _torch_and_torchvision(versions: dict[str, str]) -> Iterator[Finding]:
    """Avalanche imports torchvision, which must be built for torch's release."""
    if "torch" not in versions or "torchvision" not in versions:
        return
    both = f"torch {versions['torch']}, torchvision {versions['torchvision']}"
    remedy = "pip install --force-reinstall torch torchvision in one command, from one index"
    wanted = _wanted_torch("torchvision")
    release = versions["torch"].partition("+")[0]
    if wanted and not wanted.contains(release, prereleases=True):
        yield Finding("torch and torchvision", "bad", f"{both}; torchvision wants torch {wanted}", remedy)
        return
    builds = {versions[name].partition("+")[2] for name in ("torch", "torchvision")}
    if len(builds) > 1:
        yield Finding("torch and torchvision", "bad", f"{both}; of two builds", remedy)
        return
    try:
        import torch
        import torchvision  # noqa: F401 -- whether its operators load is what is asked
    except Exception as error:
        reason = one_line(str(error))[:160]
        yield Finding("torch and torchvision", "bad", f"{both}; cannot be imported ({reason})", remedy)
        return
    yield Finding("torch and torchvision", "ok", f"{both}, {torch.get_num_threads()} threads")


def _wanted_torch(package: str) -> SpecifierSet | None:
    """The releases of torch that a package asks for; None where it asks for none."""
    from packaging.requirements import Requirement

    for text in metadata.requires(package) or ():
        needed = Requirement(text)
        if needed.name == "torch" and needed.marker is None:
            return needed.specifier
    return None


def _device(asked: Asked) -> Iterator[Finding]:
    from contsym.models.encoders.device import choose_device, choose_precision

    try:
        device = choose_device(asked.device)
    except ContsymError as error:
        yield Finding("device", "bad", str(error), "leave --device out")
        return
    import torch

    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else "torch sees no GPU"
    yield Finding("device", "ok", f"{device} ({name})" if asked.device != "cpu" else device)
    yield Finding("precision", "ok", choose_precision(asked.precision, device))


def _output(asked: Asked) -> Iterator[Finding]:
    from contsym.results.store import check_writable

    try:
        check_writable(asked.output)
    except ContsymError as error:
        yield Finding("output folder", "bad", str(error), "name another with --output")
        return
    remedy = "make room, or name another with --output"
    yield _room("output folder", asked.output.resolve(), ROOM_NEEDED, "bad", remedy)
    yield from _temporary_folder()


def _temporary_folder() -> Iterator[Finding]:
    """Where tables of pairs are mapped from."""
    try:
        folder = Path(tempfile.gettempdir())
        with tempfile.TemporaryFile(dir=folder):
            remedy = "set TMPDIR to a folder with more room"
            finding = _room("temporary folder", folder, ROOM_NEEDED // 4, "note", remedy)
    except OSError as error:
        yield Finding(
            "temporary folder", "bad", one_line(str(error)), "set TMPDIR to a folder that you may write to"
        )
        return
    yield finding


def _room(what: str, folder: Path, needed: int, if_full: State, remedy: str) -> Finding:
    free = shutil.disk_usage(folder).free
    full = free < needed
    shown = f"{folder}, {free / 2**30:.1f} GiB free"
    return Finding(what, if_full if full else "ok", shown, remedy if full else "")


def _store(asked: Asked) -> Iterator[Finding]:
    from contsym.results.tracking import display_uri, is_local, probe, resolve_uri

    uri = resolve_uri(asked.output, asked.uri)
    shown = display_uri(uri)
    if not is_local(uri) and not asked.network:
        yield Finding("MLflow store", "note", f"{shown}; not asked", "add --network to ask it")
        return
    try:
        said = probe(asked.output, uri)
    except ContsymError as error:
        # No run fails for it: results are stored before.
        yield Finding("MLflow store", "note", str(error))
        return
    yield Finding("MLflow store", "ok", f"{shown}; {said}")


def _encoder(asked: Asked) -> Iterator[Finding]:
    from contsym.models.encoders.checkpoints import locate

    try:
        files = locate(asked.encoder, fetch=asked.network)
    except ContsymError as error:
        yield Finding("encoder", "bad", str(error))
        return
    yield Finding("encoder", "ok", f"{files.name}: {files.origin}, SHA-256 {files.weights_sha256[:12]}")


def _caches(asked: Asked) -> Iterator[Finding]:
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    offline = " (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else ""
    if not cache.is_dir():
        yield Finding("Hub cache", "ok", f"{cache}: not there yet{offline}")
        return
    n = sum(1 for path in cache.iterdir() if path.name.startswith(("models--", "datasets--")))
    can_write = os.access(cache, os.W_OK)
    yield Finding(
        "Hub cache",
        "ok" if can_write else "note",
        f"{cache}: {n} repositories{offline}",
        "" if can_write else "it cannot be written; set HF_HOME to a folder that you may write to",
    )


def _network(asked: Asked) -> Iterator[Finding]:
    if not asked.network:
        yield Finding("network", "ok", "not asked, and not needed with local data and encoder")
        return
    import urllib.error
    import urllib.request

    from huggingface_hub import constants

    address, shown = constants.ENDPOINT, hub_client.endpoint()
    try:
        # HEAD: whether anybody answers is all that is asked.
        request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - the Hub's own address
        with urllib.request.urlopen(request, timeout=NETWORK_SECONDS) as answer:  # noqa: S310 - the same
            yield Finding("network", "ok", f"{shown} answers ({answer.status})")
    except urllib.error.HTTPError as error:
        yield Finding("network", "ok", f"{shown} answers ({error.code})")
    except OSError as error:
        reason = one_line(str(getattr(error, "reason", None) or error))[:160]
        yield Finding(
            "network", "note", f"{shown} does not answer ({reason})", "give local data and a local encoder"
        )


CHECKS: tuple[Callable[[Asked], Iterator[Finding]], ...] = (
    *(_python, _machine, _libraries, _device, _output, _store, _encoder, _caches, _network),
)
