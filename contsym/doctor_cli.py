"""The command line that looks whether contsym can work here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from contsym.options import device_option, encoder_option, output_option, precision_option, uri_option


@click.command()
@output_option
@uri_option
@encoder_option
@device_option
@precision_option
@click.option(
    "--network",
    is_flag=True,
    help="Also ask the Hub, and the tracking server if there is one; some seconds each.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def doctor(
    output: Path,
    tracking_uri: str | None,
    encoder: str,
    device: str,
    precision: str,
    network: bool,
    as_json: bool,
) -> None:
    """Look whether a run can work here, and say what to do about what does not.

    Exit code 0: a run can work. 1: it cannot.

    \b
    Examples:
      contsym doctor
      contsym doctor --encoder path/to/encoder --output /scratch/me/mlruns --network
    """
    from rich.console import Console

    from contsym.display_doctor import findings_report
    from contsym.display_progress import status
    from contsym.doctor import Asked, as_plain, examine, works

    err = Console(stderr=True)
    with status(err, "looking"):
        findings = list(examine(Asked(output, encoder, tracking_uri, device, precision, network)))
    if as_json:
        click.echo(json.dumps(as_plain(findings), ensure_ascii=False))
    else:
        Console(highlight=False).print(findings_report(findings))
    if not works(findings):
        sys.exit(1)
