"""Tokens and passwords are written nowhere. The UI listens on this machine by default."""

import os
import shutil
import sqlite3

import pytest
from click.testing import CliRunner

from contsym.cli import cli
from contsym.results import tracking
from tests.toy import relation_rows, write_task

SECRETS = {
    "MLFLOW_TRACKING_USERNAME": "s3cret-user-name",
    "MLFLOW_TRACKING_PASSWORD": "s3cret-tracking-pass",
    "MLFLOW_TRACKING_TOKEN": "s3cret-tracking-token",
    "HF_TOKEN": "hf_s3cretS3cretS3cret",
    "AWS_SECRET_ACCESS_KEY": "s3cret-of-a-bucket",
}
IN_A_URI = "s3cret-in-a-uri"
URI = f"http://ada:{IN_A_URI}@127.0.0.1:9"
"""Nobody listens there, and a connection is refused at once."""


@pytest.fixture
def store(tmp_path):
    """The least that the UI is started on."""
    path = tmp_path / "mlflow.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE experiments (experiment_id, name, artifact_location)")
    db.close()
    return tmp_path


@pytest.fixture
def started(monkeypatch):
    """The commands that were started in place of contsym."""
    found = []
    monkeypatch.setattr(os, "execve", lambda *arguments: found.append(arguments))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return found


def test_the_ui_listens_on_this_machine_alone(store, started):
    done = CliRunner().invoke(cli, ["ui", "--output", str(store)], standalone_mode=False)
    assert done.exception is None
    ((_, command, _),) = started
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert "reachable" not in done.stderr
    assert not [word for word in command if "0.0.0.0" in word or word == "--allowed-hosts"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "gpu-box"])
def test_the_ui_says_so_where_it_listens_to_others(host, store, started):
    done = CliRunner().invoke(cli, ["ui", "--output", str(store), "--host", host], standalone_mode=False)
    assert done.exception is None
    assert started[0][1][started[0][1].index("--host") + 1] == host
    assert f"note: {host} is reachable from other machines, without a password" in done.stderr


def test_a_password_of_the_store_is_not_among_the_arguments_that_all_users_see(tmp_path):
    command, environment = tracking.ui_command(
        tmp_path, f"postgresql://ada:{IN_A_URI}@h/d", "127.0.0.1", 5001
    )
    assert IN_A_URI not in " ".join(command)
    assert IN_A_URI in environment["MLFLOW_BACKEND_STORE_URI"]


@pytest.mark.parametrize(
    "uri",
    [
        URI,
        f"https://{IN_A_URI}@example.org/x",
        f"postgresql://h/d?user=a&password={IN_A_URI}",
        f"mysql://h/d?token={IN_A_URI}",
        f"https://example.org/?access_token={IN_A_URI}",
        f"https://example.org/?api_key={IN_A_URI}",
        f"sqlite:////x/y.db?secret={IN_A_URI}&pwd={IN_A_URI}",
    ],
)
def test_a_uri_is_shown_without_its_secret(uri):
    assert IN_A_URI not in tracking.display_uri(uri)


@pytest.mark.slow
def test_no_secret_is_in_anything_that_a_run_a_sync_and_a_report_leave_or_say(
    tmp_path, tiny_encoder_folder, fork, mlflow_template
):
    write_task(tmp_path / "wikidata", relation_rows(), 8)
    (tmp_path / "mlruns").mkdir()
    shutil.copy(mlflow_template, tmp_path / "mlruns" / "mlflow.db")

    def run(*arguments):
        done = fork.contsym(*arguments, cwd=tmp_path, **SECRETS)
        return done.returncode, done.stdout + done.stderr

    outputs = [
        run("run", "--strategy", "zero_shot", "--scenario", "wikidata_only", "--encoder", tiny_encoder_folder,
            "--wikidata", "wikidata"),
        run("sync", "--tracking-uri", URI),
        run("run", "--strategy", "zero_shot", "--scenario", "wikidata_only", "--encoder", tiny_encoder_folder,
            "--wikidata", "wikidata", "--tracking-uri", URI, "--json"),
        run("doctor", "--tracking-uri", URI, "--encoder", tiny_encoder_folder),
    ]  # fmt: skip
    (first, *_) = sorted(path.name for path in (tmp_path / "mlruns" / "results").iterdir() if path.is_dir())
    outputs.append(run("report", first))
    assert [code for code, _ in outputs] == [0, 2, 0, 0, 0], outputs
    secrets = [*SECRETS.values(), IN_A_URI]
    for _, text in outputs:
        assert not [secret for secret in secrets if secret in text]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"mlflow.db", "result.json", "report.html"} <= {path.name for path in files}
    found = [(path, s) for path in files for s in secrets if s.encode() in path.read_bytes()]
    assert found == []
