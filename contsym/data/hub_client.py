"""The Hugging Face Hub with limits on time: the files of a repository, fetched completely, or one line of error.

`huggingface_hub.snapshot_download` is not used: it waits without limit for a server that does not answer, and it
takes half a snapshot for a complete one where it does not know the repository's files.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from contsym.errors import ContsymError, one_line
from contsym.files import write_file

ANSWER_SECONDS = 4
"""Time limit for each answer of the Hub, unless HF_HUB_ETAG_TIMEOUT is set."""
LISTINGS = "contsym"
"""Folder in a repository's part of the cache with the file list of each commit."""

Kind = Literal["model", "dataset"]


class Refused(ContsymError):
    """The Hub, or the way to it, failed: what happened, and what to do."""

    def __init__(self, reason: str, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.reason = reason


@dataclass(frozen=True)
class Repository:
    """A model or a dataset, at a branch, a tag or a commit; None is the main branch."""

    kind: Kind
    id: str
    revision: str | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return bool(self.revision and re.fullmatch(r"[0-9a-f]{40}", self.revision))

    @property
    def cache(self) -> Path:
        """The repository's folder in the Hub cache."""
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE).expanduser() / f"{self.kind}s--{self.id.replace('/', '--')}"

    @property
    def page(self) -> str:
        return f"{endpoint()}/{'datasets/' if self.kind == 'dataset' else ''}{self.id}"


@dataclass(frozen=True)
class Snapshot:
    """A repository at one commit, with the files that the cache has of it."""

    repository: Repository
    commit: str
    files: Mapping[str, int | None] | None
    """Size by file, where the Hub states it; None if the Hub was not asked."""
    moved_to: str = ""
    """The repository's present name, if it was renamed."""
    is_fresh: bool = False
    """Whether the Hub was asked just now."""

    @property
    def folder(self) -> Path:
        return self.repository.cache / "snapshots" / self.commit

    @property
    def names(self) -> list[str]:
        """Its files on the Hub; if those are unknown, the files in the cache."""
        if self.files is not None:
            return sorted(self.files)
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.folder).as_posix() for path in paths)

    def missing(self, names: Iterable[str]) -> list[str]:
        """The files that are not in the cache, or not of the size that the Hub states."""
        paths = {name: self.folder / name for name in names}
        sizes = self.files or {}
        return [
            n
            for n, path in paths.items()
            if not path.is_file() or sizes.get(n) not in (None, path.stat().st_size)
        ]

    def fetch(self, names: Iterable[str]) -> None:
        """Download those of the files that are missing. Raises Refused."""
        from huggingface_hub import hf_hub_download

        for name in self.missing(names):
            # One after the other, so that an interruption ends the download at once, unlike a pool of threads.
            with _one_line_errors(self.repository, file=name):
                hf_hub_download(
                    self.repository.id,
                    name,
                    repo_type=self.repository.kind,
                    revision=self.commit,
                    etag_timeout=_limit(),
                    force_download=(self.folder / name).exists(),
                )

    def keep(self) -> None:
        """Record in the cache the list of files, and the commit of the revision.

        To be called once all needed files are there: until then the cache names the previous commit.
        """
        if not self.is_fresh:
            return
        texts = {f"{LISTINGS}/{self.commit}.json": json.dumps(self.files)}
        if not self.repository.is_pinned:
            texts[f"refs/{self.repository.revision or 'main'}"] = self.commit
        # Where the cache cannot be written, the Hub is asked again next time.
        with suppress(OSError):
            for name, text in texts.items():
                path = self.repository.cache / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_file(path, text)


def cached(repository: Repository) -> Snapshot | None:
    """The repository's snapshot in the cache, complete or not; uses no network."""
    revision = commit = repository.revision or "main"
    if ".." in revision.split("/"):
        return None
    if not repository.is_pinned:
        try:
            commit = (repository.cache / "refs" / revision).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return None
    snapshot = Snapshot(repository, commit, None)
    if not re.fullmatch(r"\w+", commit) or not snapshot.folder.is_dir():
        return None
    return replace(snapshot, files=_cached_listing(repository, commit))


def ask(repository: Repository) -> Snapshot:
    """The repository's present commit and its files, from the Hub. Raises Refused."""
    from huggingface_hub import HfApi

    kind, revision = repository.kind, repository.revision or "main"
    with _one_line_errors(repository):
        info: Any = HfApi().repo_info(
            repository.id, repo_type=kind, revision=revision, timeout=_limit(), files_metadata=True
        )
        if not isinstance(info.sha, str) or not re.fullmatch(r"\w+", info.sha):
            raise ValueError("no commit in the answer")
        files = {each.rfilename: each.size for each in info.siblings or ()}
        if not files:
            tree = HfApi().list_repo_tree(repository.id, recursive=True, revision=info.sha, repo_type=kind)
            files = {each.path: each.size for each in tree if hasattr(each, "size")}
        if any(".." in name.split("/") or name.startswith("/") for name in files):
            raise ValueError("a file outside of its repository")
    moved = info.id if isinstance(info.id, str) and info.id != repository.id else ""
    return Snapshot(repository, info.sha, files, moved, is_fresh=True)


def upload(repository: Repository, folder: Path, *, private: bool) -> None:
    """Make the repository, unless it is there, and put the files of a folder into it. Raises Refused."""
    from huggingface_hub import HfApi
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()
    with _one_line_errors(repository):
        HfApi().create_repo(repository.id, repo_type=repository.kind, private=private, exist_ok=True)
        HfApi().upload_folder(repo_id=repository.id, repo_type=repository.kind, folder_path=folder)


def _cached_listing(repository: Repository, commit: str) -> Mapping[str, int | None] | None:
    """The commit's files as contsym or huggingface_hub recorded them earlier."""
    with suppress(OSError, ValueError):
        listing = json.loads((repository.cache / LISTINGS / f"{commit}.json").read_bytes())
        if isinstance(listing, dict):
            return listing
    try:
        from huggingface_hub import get_cached_repo_tree  # from release 2 on
        from huggingface_hub.errors import CachedRepoTreeNotFoundError
    except ImportError:
        return None
    try:
        tree = get_cached_repo_tree(repository.id, repo_type=repository.kind, revision=commit)
    except (CachedRepoTreeNotFoundError, ValueError):
        return None
    return {each.path: each.size for each in tree}


def _limit() -> int:
    from huggingface_hub import constants

    return constants.HF_HUB_ETAG_TIMEOUT if "HF_HUB_ETAG_TIMEOUT" in os.environ else ANSWER_SECONDS


def endpoint() -> str:
    """The Hub's address, without a password that may be in it."""
    from huggingface_hub import constants

    parts = urlsplit(constants.ENDPOINT)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def _one_line_errors(repository: Repository, file: str = "") -> Iterator[None]:
    """Raise errors as Refused, and suppress messages of huggingface_hub."""
    from huggingface_hub import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except Exception as error:
        if (refused := _refusal(repository, error, file)) is None:
            raise
        raise refused from None
    finally:
        logging.set_verbosity(before)


def _refusal(repository: Repository, error: Exception, file: str) -> Refused | None:
    """The error as one line; None for a fault of the program."""
    from huggingface_hub import constants, errors

    while isinstance(error, errors.LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # "cannot find the file in the cache" hides the actual error
    reason = _without_token(str(error))[:160]
    match error:
        case errors.HFValidationError():
            problem = f"{repository.id!r} is not a name on the Hub"
            return Refused("name", problem, "expected OWNER/NAME")
        case errors.HfHubHTTPError():
            return _http_refusal(repository, error, file)
        case errors.OfflineModeIsEnabled():
            return Refused("offline", "HF_HUB_OFFLINE is set", "unset it to fetch from the Hub once")
        case _ if _is_network_error(error):
            return _unreachable(reason or type(error).__name__, error, file)
        case OSError() if error.errno:
            problem = f"the Hub cache {constants.HF_HUB_CACHE} cannot be used ({error.strerror})"
            remedy = "make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "correct that"
            return Refused("cache", problem, f"{remedy}, or set HF_HOME to a folder that you may write to")
        case OSError() if file and "Consistency check" in str(error):
            return _broken_off(file, "fewer or more bytes than announced")
        case OSError() | ValueError() if file:
            problem = f"{file} cannot be fetched ({reason})"
            return Refused("file", problem, "try again, or name another revision")
        case OSError() | ValueError() | LookupError() | TypeError() | AttributeError():
            # The answer is not the Hub's: a login page of the network, or another service.
            problem = f"the server at {endpoint()} is not the Hub"
            remedy = "check HF_ENDPOINT, and whether your network asks for a login first"
            return Refused("not the Hub", problem, remedy)
    return None


def _http_refusal(repository: Repository, error: Any, file: str) -> Refused:
    """The Hub's answers other than success, by their code."""
    from huggingface_hub import errors, get_token

    status, name = error.response.status_code, f"{repository.kind} {repository.id}"
    login = "(`hf auth login`, or HF_TOKEN)"
    if isinstance(error, errors.GatedRepoError):
        remedy = f"accept its terms at {repository.page}, and log in with that account {login}"
        return Refused("gated", f"{name} is gated on the Hub", remedy)
    if isinstance(error, errors.RevisionNotFoundError):
        problem = f"{name} has no revision {repository.revision!r} on the Hub"
        return Refused("revision", problem, f"expected a branch, a tag or a commit of {repository.page}")
    if isinstance(error, errors.EntryNotFoundError):
        problem = f"the Hub lists {file or 'a file'} of {name} and does not have it ({status})"
        return Refused("file", problem, "name another revision, or tell its owner")
    if status == 401 and get_token() and "invalid" in str(error).lower():
        problem = "the Hub does not accept your token (401)"
        return Refused("refused", problem, "log in again (`hf auth login`), or unset HF_TOKEN")
    if status in (401, 404):
        access = "that your token has access to it" if get_token() else f"log in if it is private {login}"
        problem = f"the Hub has no {name}, or it is private ({status})"
        return Refused("absent", problem, f"check the name, and {access}")
    if status == 429:
        wait = error.response.headers.get("Retry-After", "")
        remedy = f"try again in {wait} s" if wait.isdigit() else "try again in some minutes"
        return Refused("busy", "the Hub has had too many requests from here (429)", remedy)
    if status >= 500:
        return Refused("failing", f"the Hub fails at present ({status})", "try again later")
    message = _without_token(error.response.headers.get("X-Error-Message", ""))[:160]
    problem = f"the Hub refuses {name} ({status}{': ' if message else ''}{message})"
    return Refused("refused", problem, f"see {repository.page} with the account of your token")


def _unreachable(reason: str, error: Exception, file: str) -> Refused:
    if file:
        return _broken_off(file, reason)
    if "timeout" in type(error).__name__.lower():
        problem = f"{endpoint()} did not answer within {_limit()} s"
        remedy = "connect to the network, or raise the limit with HF_HUB_ETAG_TIMEOUT=SECONDS"
        return Refused("unreachable", problem, remedy)
    return Refused("unreachable", f"{endpoint()} cannot be reached ({reason})", "connect to the network once")


def _broken_off(file: str, reason: str) -> Refused:
    remedy = "run the same command again: it keeps complete files"
    return Refused("broken off", f"the download of {file} broke off ({reason})", remedy)


def _is_network_error(error: Exception) -> bool:
    """Whether an HTTP library raised the error; releases of huggingface_hub use different ones."""
    libraries = {each.__module__.partition(".")[0] for each in type(error).__mro__}
    return bool(libraries & {"httpx", "httpx2", "httpcore", "requests", "urllib3"}) or isinstance(
        error, (ConnectionError, TimeoutError)
    )


def _without_token(text: str) -> str:
    from huggingface_hub import get_token

    token = get_token()
    return one_line(text.replace(token, "...") if token else text)
