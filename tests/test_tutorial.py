"""The two pages on a method of one's own, executed: their files are written, their commands run, the output compared."""

import os
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from tests.command import contsym, contsym_here

ROOT = Path(__file__).resolve().parents[1]
PAGE = "\n".join(
    (ROOT / "docs" / name).read_text("utf-8") for name in ("adding-a-strategy.md", "advanced-strategies.md")
)
"""The second goes on with the files of the first."""
BLOCK = re.compile(r"^```(\w*)[ ]?([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(PAGE)


def install(folder: Path, site: Path) -> None:
    """What pip would leave of the page's package: its files, and its entry points as a wheel has them."""
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    (listing,) = (text for kind, words, text in BLOCKS if not kind and not words)
    for name in listing.split()[:-1]:
        target = site / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = folder / target.name
        target.write_bytes(source.read_bytes() if source.exists() else b"")
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


def expected(text: str) -> re.Pattern[str]:
    """The output as the page has it; `...` stands for anything, over lines too."""
    return re.compile(".*".join(map(re.escape, text.split("..."))), re.DOTALL)


@pytest.fixture(scope="module")
def check_here(fork):
    """`contsym check` in this process; the one that it starts for a saved model is forked, which saves seconds each."""

    def check(*words, cwd):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("contsym.testing.elsewhere.subprocess", fork)
            return contsym_here(*words, cwd=cwd)

    return check


@pytest.fixture(scope="module")
def executed(tmp_path_factory, tiny_encoder_folder, fork, check_here):
    """(command, output of the page, what was printed, whether it succeeded) of each command, in order."""
    folder, site = tmp_path_factory.mktemp("tutorial"), tmp_path_factory.mktemp("site")
    found = []
    for kind, words, text in BLOCKS:
        if words.startswith("file="):
            (folder / words.removeprefix("file=")).write_text(text, "utf-8")
        elif kind == "console":
            if words == "installed":
                install(folder, site)
            for command, _, output in (part.partition("\n") for part in text.split("$ ")[1:]):
                program, *arguments = shlex.split(command)
                assert program == "contsym", command
                if arguments[0] == "run":
                    arguments += ["--encoder", tiny_encoder_folder, "--device", "cpu"]
                if words == "installed":
                    path = os.pathsep.join((str(site), str(ROOT)))
                    done = contsym(*arguments, cwd=folder, PYTHONPATH=path)
                else:
                    here = check_here if arguments[0] == "check" else fork.contsym
                    done = here(*arguments, cwd=folder)
                found.append((command, output, done))
    return found


@pytest.mark.slow
def test_every_command_does_what_the_page_says(executed):
    assert len(executed) == PAGE.count("\n$ ") > 0
    for command, _, done in executed:
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    # What the page shows as the end of the output is its end, but for an empty line.
    assert not [
        f"{command}\n{done.stdout}"
        for command, output, done in executed
        if not expected(output.rstrip()).fullmatch(done.stdout.rstrip())
    ]


def test_the_page_has_no_block_that_is_not_executed():
    kinds = {(kind, words.split("=")[0]) for kind, words, _ in BLOCKS}
    assert kinds == {
        ("console", ""),
        ("console", "installed"),
        ("python", "file"),
        ("toml", "file"),
        ("", ""),
    }
    assert PAGE.count("\n```") == 2 * len(BLOCKS)


def test_every_check_is_on_the_page():
    from contsym.testing.conformance import CHECKS

    assert all(re.search(rf"^pass  {name}  ", PAGE, re.MULTILINE) for name in CHECKS)


def test_the_files_that_it_names_exist():
    for target in re.findall(r"`((?:contsym|tests)/[\w/]+\.?\w*/?)`", PAGE):
        assert (ROOT / target).exists(), target
