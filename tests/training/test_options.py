"""A field of RunConfig reaches every place that speaks of options: whoever adds one is told here which it has not."""

from dataclasses import fields
from pathlib import Path

from contsym.config import CellOptions, RunConfig
from contsym.results.schema import Asked, StoredOptions
from contsym.sweeps.config import SweepConfig, read_file
from contsym.sweeps.rerun_command import OPTIONS
from contsym.sweeps.schema import StoredSettings


def names(kind):
    return {field.name for field in fields(kind)}


def test_a_sweep_has_every_option_of_a_run_and_its_record_has_them_all():
    assert names(RunConfig) - names(SweepConfig) == {"strategy", "tracking_uri"}
    assert names(SweepConfig) - names(RunConfig) == {"strategies", "readings", "screen", "select"}
    assert set(StoredSettings.model_fields) == names(SweepConfig) - {"output"}


def test_a_result_records_every_option():
    by_other_names = {"strategy", "scenario", "encoder", "seeds", "settings", "plugins"}
    no_part = {"output", "tracking_uri", "save_models"}
    recorded = {*StoredOptions.model_fields, *Asked.model_fields}
    assert names(RunConfig) == recorded | by_other_names | no_part


def test_a_report_writes_every_option_and_a_sweep_file_may_name_it(tmp_path):
    in_another_way = {
        "sources",
        "sizes",
        "pretrain",
        "plugins",
        "one_pass",
        "curve",
        "relearn",
        "audit",
        "save_models",
        "output",
    }
    assert set(OPTIONS) == names(CellOptions) - in_another_way
    values = {
        "encoder": '"x"', "adapter": '"lora:4"', "pooling": '"cls"',
        "form": '"both"', "draw": '"natural"', "split": '"pair"', "label_noise": "0.5",
        "protocol": '"retrain"', "device": '"cpu"', "precision": '"fp32"', "target": "0.5", "until": "1.0", "step": "8",
        "limit": "50",
        "one_pass": "true", "curve": "true", "relearn": "true",
        "audit": "false", "save_models": "true",
        "plugins": '["a.py"]', "sources": None, "sizes": None, "pretrain": None, "output": None,
    }  # fmt: skip
    assert set(values) == names(CellOptions)
    path = Path(tmp_path, "sweep.toml")
    written = {name: value for name, value in values.items() if value}
    tasks = 'mnli = "x"\nmnli-size = 30\n[pretrain]\nsteps = 3\n'
    path.write_text("".join(f"{name} = {value}\n" for name, value in written.items()) + tasks)
    assert set(read_file(path)) == set(values) - {"output"}
