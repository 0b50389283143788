"""The documentation: its commands exist, its links lead somewhere, its generated pages are fresh, its first run is true."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from benchmarks import results_figure
from contsym.cli import cli
from contsym.reference.pages import cited, repository
from tests.command import contsym, contsym_here

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
WRITTEN = sorted((ROOT / "docs").glob("*.md"))
"""The pages that people write; those in docs/reference are made of the code."""
PAGES = [README, *WRITTEN, *sorted((ROOT / "docs" / "reference").glob("*.md")), ROOT / "CONTRIBUTING.md"]
PAGES += [ROOT / "SECURITY.md"]

BLOCK = re.compile(r"^ *```[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def commands_in(text: str) -> list[list[str]]:
    """The words of each `contsym` command in the blocks of code of a page."""
    found = []
    for block in BLOCK.findall(text):
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            for part in line.removeprefix("$ ").strip().split(" && "):
                # "contsym run [OPTIONS]" is a usage line.
                if part.startswith("contsym ") and "[" not in part:
                    found.append(shlex.split(part, comments=True)[1:])
    return found


def unknown_words(words: list[str]) -> list[str]:
    """The command and options of a command line that contsym does not have."""
    command, rest = cli, list(words)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        found = command.commands.get(rest.pop(0))
        if found is None:
            return [" ".join(words)]
        command = found
    known = {
        "-h",
        "--help",
        *(opt for param in command.params for opt in (*param.opts, *param.secondary_opts)),
    }
    return [word for word in rest if word.startswith("--") and word.partition("=")[0] not in known]


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    text = BLOCK.sub("", path.read_text("utf-8"))
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_command_and_option_that_a_page_shows_exists(path):
    assert [
        unknown for words in commands_in(path.read_text("utf-8")) for unknown in unknown_words(words)
    ] == []


def test_a_wrong_option_on_a_page_is_found():
    page = "```\n$ contsym data audit x.jsonl --shot 64  # none\ncontsym rum --help\n```\n"
    assert [unknown_words(words) for words in commands_in(page)] == [["--shot"], ["rum --help"]]


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_the_links_of_a_page_lead_to_files_and_headings(path):
    broken = []
    for target in re.findall(r"\]\(([^()\s]+)\)", BLOCK.sub("", path.read_text("utf-8"))):
        file, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        page = path.parent / file if file else path
        if not page.exists() or (anchor and page.suffix == ".md" and anchor not in anchors(page)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("path", WRITTEN, ids=name_of)
def test_a_page_says_first_what_its_reader_can_do_after_it_and_is_short(path):
    lines = path.read_text("utf-8").splitlines()
    assert lines[0].startswith("# ") and lines[2].startswith("After this page ")
    assert len(lines) <= 200


def test_generated_pages_are_fresh_and_a_stale_one_is_named(tmp_path):
    run = CliRunner().invoke
    fresh = run(cli, ["docs", "--check", "--root", str(ROOT)])
    assert (fresh.exit_code, fresh.output) == (0, "every generated page is as the code says\n")

    (tmp_path / "contsym").mkdir()
    (tmp_path / "docs").mkdir()
    for name in ("docs/result.schema.json", "CITATION.cff", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    pages = tmp_path / "docs" / "reference"
    pages.mkdir()
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        (pages / page.name).write_bytes(page.read_bytes())
    (pages / "settings.md").write_text("stale", "utf-8")
    (tmp_path / "README.md").write_text("<!-- strategies -->\nnone\n<!-- end of strategies -->\n", "utf-8")
    stale = run(cli, ["docs", "--check", "--root", str(tmp_path)])
    assert stale.exit_code == 1
    assert stale.output.splitlines() == [
        f"{tmp_path}/README.md is stale",
        f"{tmp_path}/docs/reference/settings.md is stale",
        "write them again with: contsym docs",
    ]
    assert run(cli, ["docs", "--root", str(tmp_path)]).exit_code == 0
    assert (pages / "settings.md").read_bytes() == (ROOT / "docs" / "reference" / "settings.md").read_bytes()
    assert "[`knn_fixed`](docs/reference/strategies.md#knn_fixed)" in (tmp_path / "README.md").read_text(
        "utf-8"
    )


def test_the_address_of_the_repository_is_one_line_to_fill_in(tmp_path):
    url = "https://example.org/ada/contsym"
    (tmp_path / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{url}"\n', "utf-8")
    assert repository(tmp_path) == url
    empty = (ROOT / "CITATION.cff").read_text("utf-8")
    filled = cited(empty, url)
    assert filled == f'{empty}repository-code: "{url}"\n'
    assert cited(filled, None) == empty
    assert repository(ROOT) is None or cited(empty, repository(ROOT)) == empty


def test_the_quickstarts_pairs_are_counted_as_it_says(tmp_path):
    page = (ROOT / "docs" / "quickstart.md").read_text("utf-8")
    (script,) = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(
        r"^```console\n\$ contsym data stats desk.csv\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    done = contsym_here("data", "stats", "desk.csv", cwd=tmp_path)
    assert done.stdout.split() == shown.split()


def test_docs_outside_a_checkout_is_a_line(tmp_path):
    done = contsym_here("docs", "--check", "--root", str(tmp_path), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip() == (
        f"error: {tmp_path}: no README.md, docs/ and contsym/; expected a checkout of contsym (--root DIR)"
    )


def test_the_figure_of_the_readme_shows_the_table_of_the_results():
    """Else: python benchmarks/results_figure.py"""
    page = (ROOT / "docs" / "results.md").read_text("utf-8")
    assert all(len(results_figure.row(page, name)) == 4 for name in results_figure.ROWS)
    assert results_figure.data(page) in (ROOT / "docs" / "results.svg").read_text("utf-8")


@pytest.mark.night
def test_the_first_command_of_the_readme_prints_what_it_says(tmp_path):
    ((command, output),) = re.findall(
        r"^```\n(contsym run [^\n]*)\n```\n\n[^\n]*\n\n```\n(knn_fixed .*?)^```$",
        README.read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    done = contsym(*shlex.split(command)[1:], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    number = re.compile(r"\d[\d,]*(?:\.\d+)?")
    assert number.sub("", done.stdout).split() == number.sub("", output).split()
    # Accuracies; how far figures wander between processors is documented as some points.
    share = re.compile(r"\b[01]\.\d{3}\b")
    said, seen = (list(map(float, share.findall(text))) for text in (output, done.stdout))
    assert seen == pytest.approx(said, abs=0.06)
