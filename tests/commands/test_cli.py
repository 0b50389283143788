"""What all commands have in common: help, environment variables, completion, quiet, logs."""

import io
import json
import subprocess
import sys

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from contsym.cli import GROUPS, cli
from contsym.commands.screen import log_options, screen
from contsym.errors import ContsymError, SettingError
from tests.stored_results import store_run

OLD = "knn_fixed-mnli_then_wikidata-aaaaaaaaaaaa"


def run(*words, **variables):
    return CliRunner().invoke(cli, [str(word) for word in words], env=variables, prog_name="contsym")


def commands(group=cli, path=()):
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_the_help_has_every_command_once_with_its_whole_summary():
    text = CliRunner().invoke(cli, ["--help"], terminal_width=80).stdout
    names = [command.name for group in GROUPS.values() for command in group]
    assert sorted(names) == sorted(cli.commands) and len(set(names)) == len(names)
    assert all(f"\n{heading}:\n" in text for heading in GROUPS)
    assert all(f"  {name:<9}  {cli.commands[name].short_help}\n" in text for name in names)
    assert max(map(len, text.splitlines())) <= 80 and "..." not in text.replace("COMMAND [ARGS]...", "")


def test_one_word_means_one_thing_in_every_command():
    for path, command in commands():
        options = {word for option in command.params for word in getattr(option, "opts", ())}
        assert "--out" not in options and "--status" not in options, path
        for word, letter in (("--verbose", "-v"), ("--quiet", "-q")):
            assert (word in options) == (letter in options), path
        assert ("--log-file" in options) == ("--quiet" in options), path
        for option in command.params:
            assert not isinstance(option, click.Option) or option.help, (path, option.name)


def test_a_mistake_names_the_help_of_its_own_command(capsys, monkeypatch):
    from contsym.cli import main

    monkeypatch.setattr(sys, "argv", ["contsym", "data", "stats", "--nonsuch"])
    monkeypatch.setattr("contsym.cli.end_cleanly_on_signals", lambda: None)
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().err.endswith("(contsym data stats --help)\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_answer_is_printed_where_stdout_lacks_its_signs(encoding, tmp_path, monkeypatch):
    from contsym.cli import main

    store_run(tmp_path, OLD, [0], encoder="my→minilm")

    def shown(*words):
        out = io.TextIOWrapper(io.BytesIO(), encoding)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "argv", ["contsym", "show", OLD, "--output", str(tmp_path), *words])
            patch.setattr("contsym.cli.end_cleanly_on_signals", lambda: None)
            with pytest.raises(SystemExit) as ended:
                main()
        out.flush()
        assert not ended.value.code
        return out.buffer.getvalue().decode(encoding)

    assert "my?minilm" in shown()
    assert json.loads(shown("--json"))["encoder"] == "my→minilm"


def test_a_variable_stands_for_an_option_of_one_command_or_of_all(tmp_path):
    store_run(tmp_path, OLD, [0])
    assert [
        each["name"]
        for each in json.loads(run("runs", CONTSYM_OUTPUT=str(tmp_path), CONTSYM_RUNS_JSON="1").stdout)
    ] == [OLD]
    error = run(
        "run", "--scenario", "wikidata_only", CONTSYM_RUN_STRATEGY="ridg", CONTSYM_OUTPUT=str(tmp_path)
    ).exception
    assert str(error).startswith("strategy 'ridg' is unknown; did you mean ridge?")
    # By the word that is typed, whatever the parameter's name.
    assert "--set 'k'" in str(
        run("run", "--strategy", "ridge", "--scenario", "x", CONTSYM_RUN_SET="a=1 k").exception
    )
    # What is typed counts more.
    error = run("run", "--scenario", "x", "--strategy", "ridge", CONTSYM_RUN_STRATEGY="ridg").exception
    assert str(error).startswith("scenario 'x' is unknown")


def test_the_line_counts_more_than_a_variable_and_a_variable_more_than_the_file(tmp_path):
    file = tmp_path / "one.toml"
    file.write_text(
        'strategies = ["ridge"]\nscenario = "wikidata_only"\nshots = [8]\n[set]\nridge = 3\nsteps = 4\n'
    )
    given = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("contsym.commands.run._show_plan", lambda config, *_: given.append(config))
        words = ["run", "--config", str(file), "--dry-run", "--output", str(tmp_path)]
        for more, variables in (
            ([], {}),
            ([], {"CONTSYM_RUN_SHOTS": "16"}),
            (["--shots", "32", "--set", "ridge=5"], {"CONTSYM_RUN_SHOTS": "16"}),
        ):
            done = run(*words, *more, **variables)
            assert done.exit_code == 0, done.exception
    assert [config.shots for config in given] == [8, 16, 32]
    # A setting of the line takes the place of the file's; the others stay.
    assert [config.settings for config in given] == [
        {"ridge": "3", "steps": "4"},
        {"ridge": "3", "steps": "4"},
        {"ridge": "5", "steps": "4"},
    ]


def completed(*words, begun=""):
    complete = BashComplete(cli, {}, "contsym", "_CONTSYM_COMPLETE")
    return [item.value for item in complete.get_completions(list(words), begun)]


def test_names_are_completed(tmp_path):
    store_run(tmp_path, OLD, [0])
    assert completed("run", "--strategy", begun="knn_f") == ["knn_fixed"]
    assert completed("run", "--strategy", begun="knn_fixed+rep") == ["knn_fixed+replay"]
    assert completed("sweep", "--strategies", begun="ridge,ncm,sl") == ["ridge,ncm,slda"]
    assert completed("run", "--scenario", begun="mnli_t") == ["mnli_then_wikidata"]
    assert completed("run", "--encoder", begun="minilm-") == ["minilm-nli"]
    assert "predicates" in completed("data", "stats", "bundled", "--task")
    assert completed("show", "--output", str(tmp_path), begun="aaa") == ["aaaaaaaaaaaa"]
    assert completed("compare", "--output", str(tmp_path)) == ["latest", OLD]
    assert completed("run", "--plugin", "no_such.py", "--strategy") == []


def test_completion_imports_nothing_heavy():
    program = (
        "import sys\nfrom click.shell_completion import BashComplete\nfrom contsym.cli import cli\n"
        "complete = BashComplete(cli, {}, 'contsym', '_CONTSYM_COMPLETE')\n"
        "for words in (['run', '--strategy'], ['run', '--scenario'], ['run', '--encoder'], ['show']):\n"
        "    assert complete.get_completions(words, '')\n"
        "heavy = {'torch', 'mlflow', 'datasets', 'transformers', 'numpy'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@click.command()
@log_options
@click.argument("ending")
def work(ending):
    """Show a plan and end in some way."""
    shown = screen()
    shown.print("the plan")
    shown.warn("warning: a [thing]")
    if ending == "error":
        raise SettingError("that was wrong")
    if ending == "stop":
        raise KeyboardInterrupt


def test_the_quiet_see_warnings_alone():
    assert CliRunner().invoke(work, ["well"]).stderr == "the plan\nwarning: a [thing]\n"
    assert CliRunner().invoke(work, ["well", "-q"]).stderr == "warning: a [thing]\n"


@pytest.mark.parametrize(
    ("ending", "last"),
    [("well", "warning: a [thing]"), ("error", "error: that was wrong"), ("stop", "stopped")],
)
def test_a_log_file_has_what_stderr_shows_and_how_it_ended(tmp_path, ending, last):
    for _ in range(2):
        CliRunner().invoke(work, [ending, "-q", "--log-file", str(tmp_path / "log")])
    lines = (tmp_path / "log").read_text().splitlines()
    first, second = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    assert first[0].endswith("contsym work") and first[1:3] == ["the plan", "warning: a [thing]"]
    assert first[-1] == second[-1] == last


def test_a_log_file_that_cannot_be_written_is_refused_first(tmp_path):
    error = CliRunner().invoke(work, ["well", "--log-file", str(tmp_path / "no" / "log")]).exception
    assert isinstance(error, ContsymError)
    assert "cannot be written (No such file or directory); expected a file in a folder that is there" in str(
        error
    )
