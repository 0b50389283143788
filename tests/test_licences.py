"""Every dependency's licence is known and accepted, and the script that says so can say no."""

from email.message import Message

import pytest

from benchmarks.licences import closure, is_accepted, licence_of


class Package:
    def __init__(self, **fields):
        self.metadata = Message()
        for name, values in {"Name": "x", **fields}.items():
            for value in values if isinstance(values, list) else [values]:
                self.metadata[name.replace("_", "-")] = value


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License_Expression": "MIT OR Apache-2.0"}, "MIT OR Apache-2.0"),
        ({"License_Expression": "LicenseRef-NVIDIA-SOFTWARE-LICENSE"}, "NVIDIA"),
        ({"Classifier": ["Topic :: x", "License :: OSI Approved :: BSD License"]}, "BSD"),
        ({"Classifier": "License :: OSI Approved", "License": "3-Clause BSD License"}, "BSD-3-Clause"),
        ({"License": "Apache License, Version 2.0 " + "MIT " * 100}, "Apache-2.0"),
        ({"License": "see the file"}, ""),
        ({}, ""),
    ],
)
def test_what_a_package_says_of_itself(fields, licence):
    assert licence_of(Package(**fields)) == licence


@pytest.mark.parametrize(
    "expression", ["GPL-3.0-only", "AGPL-3.0-or-later", "MIT AND GPL-2.0-only", "", "Commercial"]
)
def test_what_is_not_accepted(expression):
    assert not is_accepted(expression)


def test_every_dependency_is_accepted():
    packages = closure("contsym", frozenset(("offline", "ray", "slurm", "test")))
    assert {"torch", "mlflow", "transformers", "duckdb"} <= set(packages)
    packages.pop("contsym")
    assert [name for name, package in packages.items() if not is_accepted(licence_of(package))] == []
