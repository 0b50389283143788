"""A task's pairs from the Hugging Face Hub: at one pinned commit, and from the cache without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

from contsym.data import class_names, hub_client
from contsym.data.readers import ALIASES, rename
from contsym.data.schema import FORMS, Form, rows_of
from contsym.data.shards import missing_shards, some
from contsym.data.tasks import Task
from contsym.errors import DataError, first_line, nearest

if TYPE_CHECKING:
    from datasets import Dataset


Placed = tuple[str, dict[str, object]]

CARD = "README.md"
_DATA_FILES = [
    f"*.{suffix}" for suffix in ("parquet", "json", "jsonl", "csv", "tsv", "txt", "arrow", "gz", "zst")
]
"""What is fetched beside the card, which says what is which part; never code."""
_OLD_CARD = "dataset_infos.json"
_SPELLING = "hub:OWNER/NAME, with :CONFIGURATION and @REVISION where they are needed"
_NAME = re.compile(r"(?P<id>[\w.\-]+/[\w.\-]+)(?::(?P<configuration>[^@:]+))?(?:@(?P<revision>.+))?")


@dataclass(frozen=True)
class Named:
    """A data set on the Hub as it was asked for."""

    id: str
    configuration: str | None = None
    revision: str | None = None


@dataclass(frozen=True)
class Found:
    """The same as it is: which commit, which configuration, and the files that hold it."""

    snapshot: hub_client.Snapshot
    configuration: str | None
    """None where there is only one."""
    options: Mapping[str, Any]
    """What `datasets.load_dataset` is told beside the folder."""
    patterns: Sequence[str]
    files: Sequence[str]
    remarks: tuple[str, ...]

    @property
    def name(self) -> str:
        chosen = f":{self.configuration}" if self.configuration else ""
        return f"{self.snapshot.repository.id}{chosen}"


@dataclass(frozen=True)
class Hub:
    """One or more Hub data sets, each read at the commit that its revision stood for."""

    named: tuple[Named, ...]
    """More than one where a form is a data set of its own; their parts are chained."""
    is_in_form: bool
    """The data set is in the form asked for as it comes."""
    stand_in: bool = False

    @property
    def name(self) -> str:
        """With the commit of each: what gives the same pairs again."""
        found = [find(each) for each in self.named]
        return "hub:" + "+".join(f"{each.name}@{each.snapshot.commit}" for each in found)

    @property
    def remarks(self) -> list[str]:
        return [remark for each in self.named for remark in find(each).remarks]

    def read(self, task: Task, form: Form) -> tuple[Iterator[Placed], Iterator[Placed] | None]:
        loaded = [(find(each).name, _parts(each)) for each in self.named]
        for name, parts in loaded:
            if not _names(parts, task.train_names):
                raise _other_splits(name, parts, "train", task.train_names)
            others = set(parts) - set(_names(parts, task.train_names))
            if others and not _names(parts, task.test_names):
                raise _other_splits(name, parts, "test", task.test_names)
        has_test = all(_names(parts, task.test_names) for _, parts in loaded)
        train = _chained(loaded, task.train_names)
        return train, _chained(loaded, task.test_names) if has_test else None


def parse_hub(task: Task, spec: str, form: Form) -> Hub:
    """The source of `hub`, `hub@REVISION`, `hub:OWNER/NAME`, `hub:OWNER/NAME:CONFIGURATION@REVISION`.

    Several data sets are joined by `+`, as in the name that a result records.
    """
    forms = FORMS if form == "both" else (form,)
    own = ("any",) if "any" in task.hub else forms
    usual = tuple(task.hub[each] for each in own)
    _, colon, rest = spec.partition(":") if spec.startswith("hub:") else ("", "", "")
    if not colon:
        revision = spec.partition("@")[2] or None
        return Hub(tuple(Named(each, revision=revision) for each in usual), is_in_form=True)
    named = []
    for text in re.split(r"\+(?=[\w.\-]+/)", rest):
        found = _NAME.fullmatch(text)
        if not found:
            raise DataError(f"--{task.name} {spec}: {text!r} is no Hub data set; expected {_SPELLING}")
        named.append(Named(**found.groupdict()))
    # What `hub` stands for is in this form by any other name.
    return Hub(tuple(named), is_in_form=tuple(each.id for each in named) == usual)


@cache
def find(named: Named) -> Found:
    """The commit, the configuration and its files, of which only the card is fetched yet.

    A revision that is no commit (a branch, a tag, none) is resolved by the Hub, and by what the cache
    knows of it where the Hub does not answer. Raises DataError where neither has it.
    """
    repository = hub_client.Repository("dataset", named.id, named.revision)
    snapshot, remark = _snapshot(repository)
    name = f"hub:{named.id}"
    try:
        snapshot.fetch(each for each in (CARD, _OLD_CARD) if each in (snapshot.files or ()))
    except hub_client.Refused as refused:
        raise _unavailable(repository, refused) from None
    configurations, in_card = _configurations(name, snapshot)
    chosen = _choose(named, configurations)
    options, patterns = _how_to_read(snapshot, chosen, configurations, in_card)
    data = _data(snapshot.names)
    files = [each for each in data if _matches(each, patterns)]
    if not files:
        raise _no_data(name, snapshot, data, patterns)
    remarks = [remark] if remark else []
    if chosen and not named.configuration and len(configurations) > 1:
        remarks.append(f"{name}: configuration {chosen}, the default of {', '.join(configurations)}")
    one_of_several = chosen if len(configurations) > 1 else None
    return Found(snapshot, one_of_several, options, patterns, files, tuple(remarks))


def _how_to_read(
    snapshot: hub_client.Snapshot,
    chosen: str | None,
    configurations: Mapping[str, _Configuration],
    in_card: bool,
) -> tuple[dict[str, Any], Sequence[str]]:
    """What datasets is told beside the folder, and which files it then needs: where it can be, only one
    configuration's.

    It looks at the files of the first configuration to learn the format. For another its files are named, and
    with them the features, which it forgets then.
    """
    if not chosen:
        return {}, ("*",)
    own, (first, *others) = configurations[chosen], configurations
    if not in_card:
        return {"data_dir": chosen}, own.patterns
    if others and not all(each.data_files for each in configurations.values()):
        return {"name": chosen}, ("*",)
    if chosen == first:
        return {"name": chosen}, own.patterns
    if _OLD_CARD in snapshot.names:  # its features are not to be had alone
        return {"name": chosen}, ("*",)
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCard

    infos = DatasetInfosDict.from_dataset_card_data(DatasetCard.load(snapshot.folder / CARD).data)
    features = {"features": infos[chosen].features} if chosen in infos and infos[chosen].features else {}
    return {"name": chosen, "data_files": own.data_files, **features}, own.patterns


def _snapshot(repository: hub_client.Repository) -> tuple[hub_client.Snapshot, str]:
    """The commit to read, and what is to be said where the Hub was not asked for it."""
    kept = hub_client.cached(repository)
    if kept and repository.is_pinned and kept.files is not None:
        return kept, ""
    try:
        found = hub_client.ask(repository)
    except hub_client.Refused as refused:
        if not kept or refused.reason == "revision":
            raise _unavailable(repository, refused) from None
        said = str(refused).partition(";")[0]
        return kept, f"hub:{repository.id}: commit {kept.commit[:12]} of the Hub cache ({said})"
    return found, f"hub:{repository.id}: now {found.moved_to} on the Hub" if found.moved_to else ""


@cache
def _parts(named: Named) -> Mapping[str, Dataset]:
    import datasets

    found = find(named)
    snapshot = found.snapshot
    try:
        snapshot.fetch(found.files)
    except hub_client.Refused as refused:
        raise _unavailable(snapshot.repository, refused, snapshot.missing(found.files)) from None
    lacking = missing_shards(snapshot.folder, "**/*")
    if lacking := [each for each in lacking if each in _data(lacking) and _matches(each, found.patterns)]:
        raise DataError(
            f"hub:{found.name} is not whole at commit {snapshot.commit[:12]}: {some(lacking)} "
            f"{'is' if len(lacking) == 1 else 'are'} missing; "
            + ("name another revision" if snapshot.files else "connect to the network to fetch it again")
            + ", or give a local copy as a path"
        )
    snapshot.keep()
    try:
        # From the folder, not by name: what is read is what the commit holds.
        return datasets.load_dataset(str(snapshot.folder), **found.options)  # type: ignore[arg-type]
    except Exception as error:
        reason = first_line(error, 160)
        raise DataError(
            f"hub:{found.name} cannot be read ({reason}); name another revision, or give a local copy as a path"
        ) from error


@dataclass(frozen=True)
class _Configuration:
    patterns: tuple[str, ...]
    is_default: bool = False
    data_files: Any = None
    """As the card has them."""


def _configurations(name: str, snapshot: hub_client.Snapshot) -> tuple[dict[str, _Configuration], bool]:
    """What the data set is divided into, and whether the card says so; folders of parts count where it does not."""
    from huggingface_hub import DatasetCard

    card = snapshot.folder / CARD
    try:
        said = DatasetCard.load(card).data.to_dict().get("configs") if card.is_file() else None
        found = {str(each["config_name"]): _configuration(each) for each in said or ()}
    except Exception as error:  # whatever a parser of YAML may raise on what somebody wrote
        reason = first_line(error, 160)
        raise DataError(
            f"{name}: the card at commit {snapshot.commit[:12]} cannot be read ({reason}); name another revision, "
            "or give a local copy as a path"
        ) from None
    for pattern in (pattern for each in found.values() for pattern in each.patterns):
        if "://" in pattern or pattern.startswith("/") or ".." in pattern.split("/"):
            raise DataError(
                f"{name}: the card names {pattern!r}, outside of the data set; contsym reads what its commit "
                "holds: give a local copy as a path"
            )
    if found:
        return found, True
    data = _data(snapshot.names)
    tops = {each.partition("/")[0] for each in data if each.count("/") >= 2}
    if len(tops) < 2 or any(each.count("/") < 2 for each in data):
        return {}, False
    return {each: _Configuration((f"{each}/*",)) for each in sorted(tops)}, False


def _configuration(said: Mapping[str, Any]) -> _Configuration:
    given = said.get("data_files")
    paths: list[str] = []
    for each in [given] if isinstance(given, str) else given or ["*"]:
        path = each["path"] if isinstance(each, Mapping) else each
        paths += [path] if isinstance(path, str) else path
    folder = f"{said['data_dir'].rstrip('/')}/" if said.get("data_dir") else ""
    return _Configuration(
        tuple(f"{folder}{path.removeprefix('./')}" for path in paths),
        bool(said.get("default")),
        None if folder else given,
    )


def _choose(named: Named, configurations: Mapping[str, _Configuration]) -> str | None:
    name, asked = f"hub:{named.id}", named.configuration
    if asked in configurations:
        return asked
    if asked and not configurations:
        raise DataError(f"{name} has no configurations; leave :{asked} out")
    if asked:
        raise DataError(f"{name} has no configuration {asked!r}; {nearest(asked, configurations)}")
    if len(configurations) < 2:
        return next(iter(configurations), None)
    defaults = [each for each, what in configurations.items() if what.is_default or each == "default"]
    if len(defaults) == 1:
        return defaults[0]
    first, *_ = configurations
    raise DataError(f"{name} has the configurations {', '.join(configurations)}; name one, as {name}:{first}")


def _data(files: Sequence[str]) -> list[str]:
    return [each for each in files if _matches(each, _DATA_FILES) and each != _OLD_CARD]


def _matches(file: str, patterns: Sequence[str]) -> bool:
    """Whether the file is like one of the patterns of a card; too many files do no harm, they are fetched only."""
    plain = [re.sub(r"\{[^}]*\}", "*", each) for each in patterns]
    return any(fnmatchcase(file, each) or fnmatchcase(file, each.replace("**/", "")) for each in plain)


def _no_data(
    name: str, snapshot: hub_client.Snapshot, data: Sequence[str], patterns: Sequence[str]
) -> DataError:
    scripts = [each for each in snapshot.names if each.endswith(".py")]
    if data:
        return DataError(
            f"{name}: the card names {', '.join(patterns)}, of which commit {snapshot.commit[:12]} has no file; "
            "name another revision, or give a local copy as a path"
        )
    if scripts:
        return DataError(
            f"{name} has no data files but a loading script ({some(scripts)}), and contsym runs no code of others; "
            f"try {name}@refs/convert/parquet, or give a local copy as a path"
        )
    return DataError(f"{name} has no data files; expected Parquet, JSON lines, CSV or TSV")


def _unavailable(
    repository: hub_client.Repository, refused: hub_client.Refused, missing: Sequence[str] = ()
) -> DataError:
    has_copy = refused.reason in ("offline", "unreachable", "failing", "busy", "absent", "gated", "refused")
    copy = ", or give a local copy as a path" if has_copy else ""
    partial = f"its copy in the Hub cache is not whole ({some(missing)} missing); " if missing else ""
    return DataError(f"hub:{repository.id} cannot be loaded: {partial}{refused}{copy}")


def _other_splits(
    name: str, parts: Mapping[str, object], part: str, alternatives: Sequence[Sequence[str]]
) -> DataError:
    wanted = " or ".join("+".join(names) for names in alternatives)
    return DataError(
        f"hub:{name} has the splits {', '.join(parts)}; expected {wanted} for the {part} part: give a local copy "
        "whose files have these names"
    )


def _names(parts: Mapping[str, Dataset], alternatives: tuple[tuple[str, ...], ...]) -> tuple[str, ...]:
    return next((names for names in alternatives if set(names) <= set(parts)), ())


def _chained(
    loaded: list[tuple[str, Mapping[str, Dataset]]], alternatives: tuple[tuple[str, ...], ...]
) -> Iterator[Placed]:
    for dataset, parts in loaded:
        for name in _names(parts, alternatives):
            names = class_names.of_features(parts[name].features)
            known = {*class_names.TEXT_COLUMNS, *(alias for aliases in ALIASES.values() for alias in aliases)}
            part = parts[name].select_columns([c for c in parts[name].column_names if c in known])
            for number, row in enumerate(rows_of(part), 1):
                where = f"hub:{dataset}/{name}:row {number}"
                yield where, rename(class_names.spelt_out(row, names, where))
