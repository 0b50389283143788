"""A task's pairs from the Hugging Face Hub: at one commit, and from the cache without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from contsym.data import class_names, hub_client
from contsym.data.class_names import CARD, INFOS
from contsym.data.columns import FIELDS, check_named, check_texts, usual_names
from contsym.data.hub_client import Refused, Repository, Snapshot
from contsym.data.hub_tables import table_options
from contsym.data.part_columns import may_mark, names_of
from contsym.data.readers import usual_rows
from contsym.data.schema import FORMS, PARTS, Dataset, Form, Part, PlacedRow, rows_of
from contsym.data.shards import missing_shards, some
from contsym.errors import DataError, first_line, nearest
from contsym.tasks.schema import Task, option_of

_DATA_FILES = ("*.parquet", "*.json", "*.jsonl", "*.csv", "*.tsv", "*.txt", "*.arrow", "*.gz", "*.zst")
"""Files that are fetched beside the card; never code."""
Parts = Mapping[str, Dataset]
Alternatives = tuple[tuple[str, ...], ...]
_CONVERTED = re.compile(r"([^/]+)/(\w+)/\d{4}\.parquet")
_LOCAL_COPY = "give a local copy as a path"
_FIRST = 100
"""Rows by which columns that may name parts are found."""
_NAME = re.compile(r"(?P<id>[\w.\-]+/[\w.\-]+)(?::(?P<configuration>[^@:]+))?(?:@(?P<revision>.+))?")


@dataclass(frozen=True)
class DatasetName:
    id: str
    configuration: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class DatasetVersion:
    """The commit, the configuration and the files of a dataset."""

    snapshot: Snapshot
    configuration: str | None
    """None if there is only one."""
    options: Mapping[str, Any]
    """Arguments of `datasets.load_dataset` beside the folder."""
    patterns: Sequence[str]
    files: Sequence[str]
    remarks: tuple[str, ...]

    @property
    def name(self) -> str:
        chosen = f":{self.configuration}" if self.configuration else ""
        return f"{self.snapshot.repository.id}{chosen}"


@dataclass(frozen=True)
class Hub:
    """One or more Hub datasets, each read at the commit of its revision."""

    named: tuple[DatasetName, ...]
    """Several if each form is a dataset; their parts are chained."""
    is_in_form: bool
    """Whether the dataset already has the form asked for."""

    @property
    def name(self) -> str:
        """The name with the commit of each dataset, which gives the same pairs again."""
        resolved = [resolve(each) for each in self.named]
        return "hub:" + "+".join(f"{each.name}@{each.snapshot.commit}" for each in resolved)

    def remarks(self, task: Task) -> list[str]:
        found = [remark for each in self.named for remark in resolve(each).remarks]
        for each in self.named:
            parts = _parts(each)
            test = names_of(task, "test", parts) if task.test_only else ()
            used = {name for part in PARTS for name in names_of(task, part, parts)}
            if unused := [name for name in parts if name not in (test or used)]:
                found.append(f"hub:{resolve(each).name}: splits that are not used: {some(unused, 5)}")
        return found

    def read(self, task: Task, form: Form) -> dict[Part, Iterator[PlacedRow]]:
        loaded = [(resolve(each).name, _parts(each)) for each in self.named]
        for name, parts in loaded:
            train_names = names_of(task, "train", parts)
            if not train_names and not task.test_only:
                raise _other_splits(name, parts, "train", task.alternatives["train"])
            is_divided = not task.alternatives["test"] or not set(parts) - set(train_names)
            if not is_divided and not names_of(task, "test", parts):
                raise _other_splits(name, parts, "test", task.alternatives["test"])
        return {
            part: _chained(loaded, task, part)
            for part in PARTS
            if all(names_of(task, part, parts) for _, parts in loaded)
        }


def parse_hub(task: Task, spec: str, form: Form) -> Hub:
    """The source of `hub`, `hub@REVISION`, `hub:OWNER/NAME`, `hub:OWNER/NAME:CONFIGURATION@REVISION`.

    `+` joins several datasets, as in the name that a result records.
    """
    forms = FORMS if form == "both" else (form,)
    if lacking := [each for each in forms if task.hub and each not in task.hub]:
        raise DataError(
            f"{option_of(task.name, spec)}: [hub] of task {task.name} names no {lacking[0]} dataset; expected --form "
            f"{' or '.join(task.hub)}"
        )
    usual = tuple(task.hub[each] for each in forms) if task.hub else (task.source.removeprefix("hub:"),)
    if not spec.startswith("hub:"):
        if not task.hub and not task.source.startswith("hub:"):
            raise DataError(
                f"{option_of(task.name, spec)}: the task names no dataset of the Hub; expected hub:OWNER/NAME, or a path"
            )
        revision = spec.partition("@")[2]
        spec = "hub:" + "+".join(
            f"{each.partition('@')[0]}@{revision}" if revision else each for each in usual
        )
    named = []
    for text in re.split(r"\+(?=[\w.\-]+/)", spec.removeprefix("hub:")):
        match = _NAME.fullmatch(text)
        if not match:
            raise DataError(
                f"{option_of(task.name, spec)}: {text!r} is not a Hub dataset; expected hub:OWNER/NAME, with :CONFIGURATION "
                "and @REVISION where they are needed"
            )
        named.append(DatasetName(**match.groupdict()))
    # The task's usual datasets are in this form under their full names too.
    ids = tuple(re.split("[:@]", each)[0] for each in usual)
    return Hub(tuple(named), is_in_form=tuple(each.id for each in named) == ids)


@cache
def resolve(named: DatasetName) -> DatasetVersion:
    """The commit, the configuration and its files; only the card is fetched.

    The Hub resolves a branch, a tag or a missing revision, or the cache where the Hub does not answer. Raises
    DataError where neither has it.
    """
    repository = Repository("dataset", named.id, named.revision)
    snapshot, remark = _snapshot(repository)
    name = f"hub:{named.id}"
    try:
        snapshot.fetch(each for each in (CARD, INFOS) if each in (snapshot.files or ()))
    except Refused as refused:
        raise _unavailable(repository, refused) from None
    configurations = _configurations(name, snapshot)
    chosen = _choose(named, configurations)
    options, patterns = _how_to_read(snapshot, chosen, configurations)
    data = _data(snapshot.names)
    files = [each for each in data if _matches(each, patterns)]
    if not files:
        raise _no_data(name, snapshot, data, patterns)
    remarks = [remark] if remark else []
    if chosen and not named.configuration and len(configurations) > 1:
        remarks.append(f"{name}: configuration {chosen}, the default of {', '.join(configurations)}")
    one_of_several = chosen if len(configurations) > 1 else None
    return DatasetVersion(snapshot, one_of_several, options, patterns, files, tuple(remarks))


def _how_to_read(
    snapshot: Snapshot, chosen: str | None, configurations: Mapping[str, _Configuration]
) -> tuple[dict[str, Any], Sequence[str]]:
    """Arguments of `datasets.load_dataset` beside the folder, and the files that it then needs.

    The files are those of one configuration where possible. `datasets` looks at the files of the first configuration
    to learn the format. For another configuration the arguments name its files, and its features, which `datasets`
    would then forget.
    """
    if not chosen:
        return {}, ("*",)
    configuration, (first, *others) = configurations[chosen], configurations
    if not configuration.in_card:
        files = configuration.data_files
        return {"data_files": files} if files else {"data_dir": chosen}, configuration.patterns
    if others and not all(each.data_files for each in configurations.values()):
        return {"name": chosen}, ("*",)
    if chosen == first:
        return {"name": chosen}, configuration.patterns
    if INFOS in snapshot.names:  # it has the features of all configurations only
        return {"name": chosen}, ("*",)
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCard

    infos = DatasetInfosDict.from_dataset_card_data(DatasetCard.load(snapshot.folder / CARD).data)
    features = {"features": infos[chosen].features} if chosen in infos and infos[chosen].features else {}
    return {"name": chosen, "data_files": configuration.data_files, **features}, configuration.patterns


def _snapshot(repository: Repository) -> tuple[Snapshot, str]:
    """The commit to read, and a remark if it is the cache's or the repository was renamed."""
    cached = hub_client.cached(repository)
    if cached and repository.is_pinned and cached.files is not None:
        return cached, ""
    try:
        snapshot = hub_client.ask(repository)
    except Refused as refused:
        if not cached or refused.reason == "revision":
            raise _unavailable(repository, refused) from None
        problem = str(refused).partition(";")[0]
        return cached, f"hub:{repository.id}: commit {cached.commit[:12]} of the Hub cache ({problem})"
    return snapshot, f"hub:{repository.id}: now {snapshot.moved_to} on the Hub" if snapshot.moved_to else ""


@cache
def _parts(named: DatasetName) -> Parts:
    import datasets

    dataset = resolve(named)
    snapshot = dataset.snapshot
    try:
        snapshot.fetch(dataset.files)
    except Refused as refused:
        raise _unavailable(snapshot.repository, refused, snapshot.missing(dataset.files)) from None
    missing = _data(missing_shards(snapshot.folder, "**/*"))
    if missing := [each for each in missing if _matches(each, dataset.patterns)]:
        remedy = "name another revision" if snapshot.files else "connect to the network to fetch it again"
        raise DataError(
            f"hub:{dataset.name} is incomplete at commit {snapshot.commit[:12]}: {some(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing; {remedy}, or {_LOCAL_COPY}"
        )
    snapshot.keep()
    try:
        options = {**dataset.options, **table_options(snapshot.folder, dataset.files, dataset.options)}
        # From the folder, not by name, to read the files of this commit.
        return datasets.load_dataset(str(snapshot.folder), **options)  # type: ignore[arg-type]
    except Exception as error:
        problem = f"hub:{dataset.name} cannot be read ({first_line(error, 160)})"
        raise DataError(f"{problem}; name another revision, or {_LOCAL_COPY}") from error


@dataclass(frozen=True)
class _Configuration:
    patterns: tuple[str, ...]
    is_default: bool = False
    data_files: Any = None
    """As the card has them, or of a branch of converted files."""
    in_card: bool = True
    """Whether the card names the configuration; otherwise it is a folder of parts."""


def _configurations(name: str, snapshot: Snapshot) -> dict[str, _Configuration]:
    from huggingface_hub import DatasetCard

    card = snapshot.folder / CARD
    try:
        entries = DatasetCard.load(card).data.to_dict().get("configs") if card.is_file() else None
        in_card = {str(each["config_name"]): _configuration(each) for each in entries or ()}
    except Exception as error:  # any error of a YAML parser
        reason = first_line(error, 160)
        problem = f"{name}: the card at commit {snapshot.commit[:12]} cannot be read ({reason})"
        raise DataError(f"{problem}; name another revision, or {_LOCAL_COPY}") from None
    for pattern in (pattern for each in in_card.values() for pattern in each.patterns):
        if "://" in pattern or pattern.startswith("/") or ".." in pattern.split("/"):
            raise DataError(
                f"{name}: the card names {pattern!r}, outside of the dataset; contsym reads only files of its "
                f"commit: {_LOCAL_COPY}"
            )
    if in_card:
        return in_card
    data = _data(snapshot.names)
    if converted := _converted(data):
        return converted
    tops = {each.partition("/")[0] for each in data if each.count("/") >= 2}
    if len(tops) < 2 or any(each.count("/") < 2 for each in data):
        return {}
    return {each: _Configuration((f"{each}/*",), in_card=False) for each in sorted(tops)}


def _converted(data: Sequence[str]) -> dict[str, _Configuration]:
    """The configurations of the branch refs/convert/parquet: a folder each, with a folder of each split.

    `datasets` would look for "train" and "val" in these names, and take `val_wiki` and `val_nyt` for one split.
    """
    found = [_CONVERTED.fullmatch(each) for each in data]
    if not found or not all(found):
        return {}
    splits: dict[str, dict[str, str]] = {}
    for each in found:
        assert each
        splits.setdefault(each[1], {})[each[2]] = f"{each[1]}/{each[2]}/*.parquet"
    return {
        name: _Configuration((f"{name}/*",), data_files=paths, in_card=False)
        for name, paths in splits.items()
    }


def _configuration(entry: Mapping[str, Any]) -> _Configuration:
    data_files = entry.get("data_files")
    paths: list[str] = []
    for each in [data_files] if isinstance(data_files, str) else data_files or ["*"]:
        path = each["path"] if isinstance(each, Mapping) else each
        paths += [path] if isinstance(path, str) else path
    folder = f"{entry['data_dir'].rstrip('/')}/" if entry.get("data_dir") else ""
    patterns = tuple(f"{folder}{path.removeprefix('./')}" for path in paths)
    return _Configuration(patterns, bool(entry.get("default")), None if folder else data_files)


def _choose(named: DatasetName, configurations: Mapping[str, _Configuration]) -> str | None:
    name, choice = f"hub:{named.id}", named.configuration
    if choice in configurations:
        return choice
    if choice and not configurations:
        raise DataError(f"{name} has no configurations; leave :{choice} out")
    if choice:
        raise DataError(f"{name} has no configuration {choice!r}; {nearest(choice, configurations)}")
    if len(configurations) < 2:
        return next(iter(configurations), None)
    defaults = [each for each, entry in configurations.items() if entry.is_default or each == "default"]
    if len(defaults) == 1:
        return defaults[0]
    first, *_ = configurations
    raise DataError(f"{name} has the configurations {', '.join(configurations)}; name one, as {name}:{first}")


def _data(files: Sequence[str]) -> list[str]:
    return [each for each in files if _matches(each, _DATA_FILES) and each != INFOS]


def _matches(file: str, patterns: Sequence[str]) -> bool:
    """Whether the file fits one of the patterns of a card; a file too many does no harm, it is only fetched."""
    plain = [re.sub(r"\{[^}]*\}", "*", each) for each in patterns]
    return any(fnmatchcase(file, each) or fnmatchcase(file, each.replace("**/", "")) for each in plain)


def _no_data(name: str, snapshot: Snapshot, data: Sequence[str], patterns: Sequence[str]) -> DataError:
    if data:
        return DataError(
            f"{name}: the card names {', '.join(patterns)}, of which commit {snapshot.commit[:12]} has no file; "
            f"name another revision, or {_LOCAL_COPY}"
        )
    if scripts := [each for each in snapshot.names if each.endswith(".py")]:
        return DataError(
            f"{name} has a loading script ({some(scripts)}) and no data files, and contsym runs no foreign code; "
            f"try {name}@refs/convert/parquet, or {_LOCAL_COPY}"
        )
    return DataError(f"{name} has no data files; expected Parquet, JSON lines, CSV or TSV")


class HubError(DataError):
    """A dataset that cannot be had from the Hub; the message ends with the advice to give a local copy."""


def _unavailable(repository: Repository, refused: Refused, missing: Sequence[str] = ()) -> DataError:
    helps = refused.reason in ("offline", "unreachable", "failing", "busy", "absent", "gated", "refused")
    copy = f", or {_LOCAL_COPY}" if helps else ""
    partial = f"its copy in the Hub cache is incomplete ({some(missing)} missing); " if missing else ""
    kind = HubError if copy else DataError
    return kind(f"hub:{repository.id} cannot be loaded: {partial}{refused}{copy}")


def _other_splits(name: str, parts: Parts, part: str, alternatives: Alternatives) -> DataError:
    expected = f"{' or '.join('+'.join(names) for names in alternatives)} for the {part} part"
    remedy = "give a local copy whose files have these names"
    return DataError(f"hub:{name} has the splits {', '.join(parts)}; expected {expected}: {remedy}")


def _chained(loaded: list[tuple[str, Parts]], task: Task, part: Part) -> Iterator[PlacedRow]:
    for dataset, parts in loaded:
        for name in names_of(task, part, parts):
            yield from _rows(parts[name], f"hub:{dataset}/{name}", task)


def _rows(part: Dataset, source: str, task: Task) -> Iterator[PlacedRow]:
    names = class_names.of_features(part.features, task.columns.get("label"))
    check_named(source, part.column_names, task)
    usual = usual_names(part.column_names, task, source)
    check_texts(source, usual.values(), part.column_names, task)
    first = part[:_FIRST] if len(part) else {}
    columns = [
        c for c, values in first.items() if usual.get(c) in FIELDS or c in task.only or may_mark(c, values)
    ]
    rows = enumerate(rows_of(part.select_columns(columns)), 1)
    placed = ((f"{source}:row {number}", row) for number, row in rows)
    yield from usual_rows(placed, lambda: names, task, part.column_names)
