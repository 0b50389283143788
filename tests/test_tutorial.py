"""docs/adding-a-strategy.md, run as it stands."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs" / "adding-a-strategy.md"


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", DOCS.read_text("utf-8"), re.S)


def run(folder, words):
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": str(DOCS.parents[1]), "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture
def folder(tmp_path):
    (text,) = blocks("python")
    (tmp_path / "difference.py").write_text(text, encoding="utf-8")
    return tmp_path


def test_every_command_works(folder, tiny_encoder_folder):
    answers = []
    for block in blocks("sh"):
        for line in block.splitlines():
            words = shlex.split(line)
            assert words[0] == "contsym"
            # A tiny encoder in place of MiniLM, which may not be installed here and would take longer.
            extra = ["--encoder", str(tiny_encoder_folder), "--device", "cpu"] if words[1] == "run" else []
            answers.append(run(folder, [*words, *extra]))
    assert "my_method conforms" in answers[1]
    assert "Fine-tuning on the difference of the two sentences alone" in answers[2]
    assert (folder / "test_my_method.py").is_file()


def test_the_example_conforms(folder):
    assert "difference conforms" in run(
        folder, ["contsym", "check", "difference", "--plugin", "difference.py"]
    )


def test_the_written_test_passes(folder):
    run(folder, ["contsym", "new", "strategy", "my_method"])
    run(folder, ["pytest", "-q", "-p", "no:cacheprovider", "test_my_method.py"])


def test_an_entry_point_is_found_by_itself(folder):
    (text,) = [block for block in blocks("toml") if "entry-points" in block]
    line = text.splitlines()[1]
    package = folder / "site" / "my_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "difference.py").write_text(blocks("python")[0], encoding="utf-8")
    info = folder / "site" / "my_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n", encoding="utf-8"
    )
    (info / "entry_points.txt").write_text(
        f"[contsym.strategies]\n{line}\n".replace('"', ""), encoding="utf-8"
    )
    program = (
        f"import sys; sys.path.insert(0, {str(folder / 'site')!r})\n"
        "from contsym.cli import cli\ncli(['list', 'strategies'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "difference" in done.stdout
    assert "from my-package 1.0" in done.stdout
