"""`contsym sync` and `contsym ui`: stored results in MLflow."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from contsym.commands.options import echo_json, json_option, output_option, uri_option


@click.command(short_help="Send stored results that MLflow does not have yet.")
@output_option
@uri_option
@json_option
def sync(output: Path, tracking_uri: str | None, as_json: bool) -> None:
    """Send stored results that MLflow does not have yet.

    Results that cannot be read and runs that MLflow refuses are named on stderr and skipped.
    Exit code 0: all results are sent; 1: some were skipped; 2: the store cannot be used.

    \b
    Example:
      contsym sync --tracking-uri http://127.0.0.1:5000
    """
    from contsym.checked import Skipped
    from contsym.results import tracking
    from contsym.sweeps.tracking import sync as send_all

    uri, skipped = tracking.resolve_uri(output, tracking_uri), Skipped()
    n_sent = send_all(
        output, uri, lambda name, n: click.echo(f"{name}: {n} result{'s' * (n != 1)}", err=True), skipped
    )
    if as_json:
        echo_json({"sent": n_sent, "to": tracking.display_uri(uri), "skipped": skipped.errors})
    else:
        click.echo(f"{n_sent} result{'s' * (n_sent != 1)} sent to {tracking.display_uri(uri)}")
    if skipped.errors:
        sys.exit(1)


@click.command(short_help="Open the MLflow UI on the store of the runs.")
@output_option
@uri_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Port to listen on."
)
def ui(output: Path, tracking_uri: str | None, host: str, port: int) -> None:
    """Start the MLflow UI on the stored runs.

    The address that it prints leads to the latest runs with accuracy, forgetting and samples needed as columns; "Chart
    view" there draws them.

    \b
    Example:
      contsym ui --port 5001
    """
    from contsym.results import tracking

    uri = tracking.resolve_uri(output, tracking_uri)
    command, environment = tracking.ui_command(output, uri, host, port)
    page = tracking.ui_page(uri)
    click.echo("MLflow UI (starting takes about 15 s; stop with Ctrl-C):", err=True)
    click.echo(f"http://{host}:{port}{page}", err=True)
    if host not in ("127.0.0.1", "localhost", "::1"):
        click.echo(f"note: {host} is reachable from other machines, without a password", err=True)
    os.execve(command[0], command, environment)  # noqa: S606 - replaces this process
