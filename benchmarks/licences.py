"""The licence of everything that contsym brings along: python benchmarks/licences.py [--extras offline,ray] [--json]

Walks the requirements of the installed contsym and reads what each package says of itself. Exit code 1 where one
says nothing that is understood, or something that ACCEPTED does not have: then somebody must read its licence and
write it down in KNOWN or ACCEPTED, with the reason.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ACCEPTED = {
    "Apache-2.0": "permissive",
    "MIT": "permissive",
    "MIT-0": "permissive",
    "MIT-CMU": "permissive",
    "BSD": "permissive",
    "BSL-1.0": "permissive",
    "BSD-2-Clause": "permissive",
    "BSD-3-Clause": "permissive",
    "0BSD": "permissive",
    "ISC": "permissive",
    "Zlib": "permissive",
    "PSF-2.0": "permissive",
    "Python-2.0": "permissive",
    "CC0-1.0": "public domain",
    "Unlicense": "public domain",
    "MPL-2.0": "copyleft of the file: used as it is, unchanged",
    "LGPL": "copyleft of the library: imported, not copied",
    "LGPL-2.1-or-later": "copyleft of the library: imported, not copied",
    "LGPL-3.0-or-later": "copyleft of the library: imported, not copied",
    "CNRI-Python": "permissive",
    "NVIDIA": "proprietary and redistributable: CUDA, which torch's wheels for Linux need",
}
"""What contsym, under Apache-2.0, may depend on, and why."""

KNOWN: dict[str, tuple[str, str]] = {
    "cuda-toolkit": ("NVIDIA", "an empty package of NVIDIA that requires others of theirs"),
    "huey": ("MIT", "its LICENSE; MLflow needs it"),
    "skops": ("MIT", "its LICENSE; MLflow needs it"),
}
"""Packages whose metadata say nothing that is understood: licence, and where it was read."""

WORDS = (
    (r"apache", "Apache-2.0"),
    (r"\bmit\b|mit license|expat", "MIT"),
    (r"bsd.3|3-clause|new bsd|modified bsd|revised bsd", "BSD-3-Clause"),
    (r"bsd.2|2-clause|simplified bsd", "BSD-2-Clause"),
    (r"\bbsd\b", "BSD"),
    (r"mpl.?2|mozilla public license 2", "MPL-2.0"),
    (r"python software foundation|\bpsf|^python$", "PSF-2.0"),
    (r"\blgpl|lesser general public", "LGPL"),
    (r"nvidia|cuda", "NVIDIA"),
    (r"\bisc\b", "ISC"),
    (r"unlicense|public domain", "Unlicense"),
    (r"\bzlib\b", "Zlib"),
)
"""How licences are called in metadata that are no SPDX expression; the first that fits."""


def closure(name: str, extras: frozenset[str]) -> dict[str, metadata.Distribution]:
    """The installed packages that `name` needs, itself left out, by their names."""
    found: dict[str, metadata.Distribution] = {}
    done: set[tuple[str, frozenset[str]]] = set()
    todo = [(canonicalize_name(name), extras)]
    while todo:
        name, wanted = todo.pop()
        if (name, wanted) in done:
            continue
        done.add((name, wanted))
        try:
            package = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # of another platform, or of an extra that is not installed
        found[name] = package
        for text in package.requires or ():
            needed = Requirement(text)
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in ("", *wanted)):
                todo.append((canonicalize_name(needed.name), frozenset(needed.extras)))
    return found


def licence_of(package: metadata.Distribution) -> str:
    """What a package says of itself, by the names of ACCEPTED, joined by AND and OR; empty where it says nothing."""
    name = canonicalize_name(package.metadata["Name"])
    if name in KNOWN:
        return KNOWN[name][0]
    if "License-Expression" in package.metadata:
        expression = package.metadata["License-Expression"]
        return re.sub(r"LicenseRef-NVIDIA[\w.-]*", "NVIDIA", expression)
    said = [
        text.rpartition(" :: ")[2]
        for text in package.metadata.get_all("Classifier") or ()
        if text.startswith("License ::")
    ]
    said += package.metadata.get_all("License") or ()
    for text in said:
        if text in ACCEPTED:
            return text
        for pattern, licence in WORDS:
            # A whole licence text names others too; its head names itself.
            if re.search(pattern, text[:200].lower()):
                return licence
    return ""


def is_accepted(expression: str) -> bool:
    """Whether an SPDX expression allows it: one side of an OR, both sides of an AND.

    >>> is_accepted("MIT OR GPL-3.0-only"), is_accepted("MIT AND GPL-3.0-only"), is_accepted("")
    (True, False, False)
    """
    plain = re.sub(r"\s+WITH\s+[\w.-]+", "", expression).replace("(", " ").replace(")", " ")
    ways = re.split(r"\s+OR\s+", plain.strip())
    return any(all(part.strip() in ACCEPTED for part in re.split(r"\s+AND\s+", way)) for way in ways)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--extras", default="offline,dev", help="of contsym that are installed")
    words.add_argument("--json", action="store_true")
    given = words.parse_args()
    packages = closure("contsym", frozenset(given.extras.split(",")))
    packages.pop("contsym", None)
    found = {name: (package.version, licence_of(package)) for name, package in sorted(packages.items())}
    unknown = [name for name, (_, licence) in found.items() if not is_accepted(licence)]
    if given.json:
        print(
            json.dumps(
                {name: {"version": v, "licence": licence} for name, (v, licence) in found.items()}, indent=1
            )
        )
    else:
        for name, (version, licence) in found.items():
            print(
                f"{name:<34} {version:<14} {licence or '?'}{'   <- not accepted' if name in unknown else ''}"
            )
    print(f"{len(found)} packages, {len(unknown)} not understood or not accepted", file=sys.stderr)
    sys.exit(bool(unknown))


if __name__ == "__main__":
    main()
