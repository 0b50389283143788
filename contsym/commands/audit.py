"""`contsym audit`: did training teach the rule, or a preference for labels?"""

from __future__ import annotations

from pathlib import Path

import click

from contsym.commands import completion
from contsym.commands.options import device_option, echo_json, json_option, output_option, plugin_option
from contsym.commands.screen import log_options, screen


@click.command(short_help="Say whether training taught a rule or a label bias.")
@click.argument("run", metavar="RUN", shell_complete=completion.runs)
@click.option(
    "--rules",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Labelled NLI pairs with a column group or skill that names their rule, beside the bundled ones; repeatable.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show the rules that were not known before too.")
@device_option
@plugin_option
@log_options
@json_option
@output_option
def audit(
    run: str,
    files: tuple[Path, ...],
    verbose: bool,
    as_json: bool,
    device: str,
    plugins: tuple[str, ...],
    output: Path,
) -> None:
    """Say whether a method learned the rule of its new task or a bias towards some labels.

    RUN is as for contsym show, with saved models (--save-model). Its answers are compared with those of the model before
    the new task, and with that model's twin, which differs by a constant preference for labels (docs/audit.md). What is
    found is stored, and contsym report shows it.

    \b
    Examples:
      contsym run --strategy fine_tune --scenario mnli_then_wikidata --shots 64 --seeds 5 --save-model
      contsym audit latest
      contsym audit latest --rules taxinli.jsonl
    """
    from rich.console import Console

    from contsym import plugins as plugin_files
    from contsym.api.auditing import audit_results, results_of
    from contsym.checked import Skipped
    from contsym.commands.views.audit import audit_report
    from contsym.commands.views.progress import RunProgress
    from contsym.data.rules import load_rules
    from contsym.results.training_audit import as_plain

    results, row_of = results_of(run, output, Skipped())
    rules = load_rules(files)
    with RunProgress(*screen()) as progress:
        found = audit_results(
            results,
            output,
            row_of,
            rules=rules,
            plugins=plugin_files.read(plugins),
            progress=progress,
            device=device,
        )
    if as_json:
        echo_json({name: as_plain(each) for name, each in found.items()})
    else:
        Console(highlight=False).print(audit_report(found, rules.notes, verbose=verbose))
