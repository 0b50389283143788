"""The Hugging Face Hub: what it has under a name, asked within seconds and fetched whole, or one line that says why not.

`huggingface_hub.snapshot_download` is not used: it waits without limit for a server that does not answer, and it
gives half a snapshot for a whole one where it does not know the repository's files.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from contsym.errors import ContsymError, one_line

ANSWER_SECONDS = 4
"""How long the Hub has for each answer, unless HF_HUB_ETAG_TIMEOUT says otherwise."""
LISTINGS = "contsym"
"""Folder in a repository's part of the cache: the files of each commit, as the Hub listed them."""

Kind = Literal["model", "dataset"]
Reason = Literal[
    "absent",
    "broken off",
    "busy",
    "cache",
    "failing",
    "file",
    "gated",
    "name",
    "not the Hub",
    "offline",
    "refused",
    "revision",
    "unreachable",
]


class Refused(ContsymError):
    """The Hub, or the way to it, did not give what was asked for: what happened, and what to do."""

    def __init__(self, reason: Reason, said: str, remedy: str) -> None:
        super().__init__(f"{said}; {remedy}")
        self.reason = reason


@dataclass(frozen=True)
class Repository:
    """A model or a data set, at a branch, a tag or a commit; None is the main branch."""

    kind: Kind
    id: str
    revision: str | None = None

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return bool(self.revision and re.fullmatch(r"[0-9a-f]{40}", self.revision))

    @property
    def cache(self) -> Path:
        """Its part of the Hub cache."""
        from huggingface_hub import constants

        return Path(constants.HF_HUB_CACHE).expanduser() / f"{self.kind}s--{self.id.replace('/', '--')}"

    @property
    def page(self) -> str:
        return f"{endpoint()}/{'datasets/' if self.kind == 'dataset' else ''}{self.id}"


@dataclass(frozen=True)
class Snapshot:
    """A repository at one commit, as far as it is in the cache."""

    repository: Repository
    commit: str
    files: Mapping[str, int | None] | None
    """What the Hub lists, with the bytes of each where it says them; None where it has not been asked."""
    moved_to: str = ""
    """The repository's present name, where it has another one."""
    is_fresh: bool = False
    """The Hub has just said so."""

    @property
    def folder(self) -> Path:
        return self.repository.cache / "snapshots" / self.commit

    @property
    def names(self) -> list[str]:
        """Its files: those listed, else those that are here."""
        if self.files is not None:
            return sorted(self.files)
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.folder).as_posix() for path in found)

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those that are not here, or are here with another size than the Hub says."""
        return [name for name in names if not self._is_whole(name)]

    def _is_whole(self, name: str) -> bool:
        path, size = self.folder / name, (self.files or {}).get(name)
        return path.is_file() and size in (None, path.stat().st_size)

    def fetch(self, names: Iterable[str]) -> None:
        """Download those of the files that are missing. Raises Refused."""
        from huggingface_hub import hf_hub_download

        for name in self.missing(names):
            # One after the other: an interruption ends it at once, which a pool of threads would not.
            with _in_our_words(self.repository, file=name):
                hf_hub_download(
                    self.repository.id,
                    name,
                    repo_type=self.repository.kind,
                    revision=self.commit,
                    etag_timeout=_limit(),
                    force_download=(self.folder / name).exists(),
                )

    def keep(self) -> None:
        """Note in the cache which files there are, and that the revision stands for this commit.

        To be called once what is needed is here: until then the cache goes on naming the commit before.
        """
        if not self.is_fresh:
            return
        written = {f"{LISTINGS}/{self.commit}.json": json.dumps(self.files)}
        if not self.repository.is_pinned:
            written[f"refs/{self.repository.revision or 'main'}"] = self.commit
        for name, text in written.items():
            path = self.repository.cache / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                partial = path.with_name(f"{path.name}.{os.getpid()}")
                partial.write_text(text, encoding="utf-8")
                partial.replace(path)
            except OSError:
                # A cache that others fill and that cannot be written: the Hub is asked again next time.
                return


def cached(repository: Repository) -> Snapshot | None:
    """What the cache has under the name, whole or not; no network."""
    revision = commit = repository.revision or "main"
    if ".." in revision.split("/"):
        return None
    if not repository.is_pinned:
        try:
            commit = (repository.cache / "refs" / revision).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return None
    found = Snapshot(repository, commit, None)
    if not re.fullmatch(r"\w+", commit) or not found.folder.is_dir():
        return None
    return replace(found, files=_kept_listing(repository, commit))


def ask(repository: Repository) -> Snapshot:
    """What the Hub has under the name now: the commit and its files. Raises Refused."""
    from huggingface_hub import HfApi

    with _in_our_words(repository):
        info: Any = HfApi().repo_info(
            repository.id,
            repo_type=repository.kind,
            revision=repository.revision or "main",
            timeout=_limit(),
            files_metadata=True,
        )
        if not isinstance(info.sha, str) or not re.fullmatch(r"\w+", info.sha):
            raise ValueError("no commit in the answer")
        files = {each.rfilename: each.size for each in info.siblings or ()}
        if not files:
            tree = HfApi().list_repo_tree(
                repository.id, recursive=True, revision=info.sha, repo_type=repository.kind
            )
            files = {each.path: each.size for each in tree if hasattr(each, "size")}
        if any(".." in name.split("/") or name.startswith("/") for name in files):
            raise ValueError("a file outside of its repository")
    moved = info.id if isinstance(info.id, str) and info.id != repository.id else ""
    return Snapshot(repository, info.sha, files, moved, is_fresh=True)


def _kept_listing(repository: Repository, commit: str) -> Mapping[str, int | None] | None:
    """The commit's files as the Hub once listed them, to contsym or to huggingface_hub."""
    try:
        found = json.loads((repository.cache / LISTINGS / f"{commit}.json").read_bytes())
        if isinstance(found, dict):
            return found
    except (OSError, ValueError):
        pass
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

    found = urlsplit(constants.ENDPOINT)
    return f"{found.scheme}://{found.netloc.rpartition('@')[2]}{found.path}"


@contextmanager
def _in_our_words(repository: Repository, file: str = "") -> Iterator[None]:
    """Raise what goes wrong as Refused, and let huggingface_hub say nothing of its own beside it."""
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
    """What went wrong in our words; None for what is a fault of the program."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    while isinstance(error, LocalEntryNotFoundError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # "cannot find the file in the cache", raised from what is the matter
    if isinstance(error, HFValidationError):
        return Refused("name", f"{repository.id!r} is no name on the Hub", "expected OWNER/NAME")
    if isinstance(error, HfHubHTTPError):
        return _answer(repository, error, file)
    if _is_offline(error):
        return Refused("offline", "HF_HUB_OFFLINE is set", "unset it to fetch from the Hub once")
    if _is_of_the_network(error):
        return _unreachable(error, file)
    if isinstance(error, OSError) and error.errno:
        from huggingface_hub import constants

        room = "make room there" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "mend that"
        return Refused(
            "cache",
            f"the Hub cache {constants.HF_HUB_CACHE} cannot be used ({error.strerror})",
            f"{room}, or set HF_HOME to a folder that you may write to",
        )
    if file and isinstance(error, OSError) and "Consistency check" in str(error):
        return _broken_off(file, "fewer or more bytes than announced")
    if file and isinstance(error, (OSError, ValueError)):
        reason = _without_token(str(error))[:160]
        return Refused("file", f"{file} cannot be fetched ({reason})", "try again, or name another revision")
    if isinstance(error, (OSError, ValueError, LookupError, TypeError, AttributeError)):
        # Read as the Hub's answer, and was none: a login page of the network, or another service.
        return Refused(
            "not the Hub",
            f"what answers at {endpoint()} is not the Hub",
            "check HF_ENDPOINT, and whether your network asks for a login first",
        )
    return None


def _answer(repository: Repository, error: Any, file: str) -> Refused:
    """The Hub's answers other than success, by their code."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, RevisionNotFoundError

    status, what = error.response.status_code, f"{repository.kind} {repository.id}"
    if isinstance(error, GatedRepoError):
        return Refused(
            "gated",
            f"{what} is gated on the Hub",
            f"accept its terms at {repository.page}, and log in with that account (`hf auth login`, or HF_TOKEN)",
        )
    if isinstance(error, RevisionNotFoundError):
        return Refused(
            "revision",
            f"{what} has no revision {repository.revision!r} on the Hub",
            f"expected a branch, a tag or a commit of {repository.page}",
        )
    if isinstance(error, EntryNotFoundError):
        return Refused(
            "file",
            f"the Hub lists {file or 'a file'} of {what} and does not have it ({status})",
            "name another revision, or tell its owner",
        )
    if status == 401 and get_token() and "invalid" in str(error).lower():
        return Refused(
            "refused",
            "the Hub does not accept your token (401)",
            "log in anew (`hf auth login`), or unset HF_TOKEN",
        )
    if status in (401, 404):
        access = (
            "that your token has access to it"
            if get_token()
            else "log in if it is private (`hf auth login`, or HF_TOKEN)"
        )
        return Refused(
            "absent", f"the Hub has no {what}, or it is private ({status})", f"check the name, and {access}"
        )
    if status == 429:
        wait = error.response.headers.get("Retry-After", "")
        return Refused(
            "busy",
            "the Hub has had too many requests from here (429)",
            f"try again in {wait} s" if wait.isdigit() else "try again in some minutes",
        )
    if status >= 500:
        return Refused("failing", f"the Hub fails at present ({status})", "try again later")
    said = _without_token(error.response.headers.get("X-Error-Message", ""))[:160]
    return Refused(
        "refused",
        f"the Hub refuses {what} ({status}{': ' if said else ''}{said})",
        f"see {repository.page} with the account of your token",
    )


def _unreachable(error: Exception, file: str) -> Refused:
    if file:
        return _broken_off(file, _without_token(str(error)) or type(error).__name__)
    if "timeout" in type(error).__name__.lower():
        return Refused(
            "unreachable",
            f"{endpoint()} did not answer within {_limit()} s",
            "connect to the network, or give it longer with HF_HUB_ETAG_TIMEOUT=SECONDS",
        )
    reason = _without_token(str(error))[:160] or type(error).__name__
    return Refused("unreachable", f"{endpoint()} cannot be reached ({reason})", "connect to the network once")


def _broken_off(file: str, reason: str) -> Refused:
    return Refused(
        "broken off",
        f"the download of {file} broke off ({reason[:160]})",
        "run the same command again: what is whole is kept",
    )


def _is_offline(error: Exception) -> bool:
    from huggingface_hub.errors import OfflineModeIsEnabled

    return isinstance(error, OfflineModeIsEnabled)


def _is_of_the_network(error: Exception) -> bool:
    """Whatever library huggingface_hub speaks HTTP with: its releases have changed it."""
    libraries = {each.__module__.partition(".")[0] for each in type(error).__mro__}
    return bool(libraries & {"httpx", "httpx2", "httpcore", "requests", "urllib3"}) or isinstance(
        error, (ConnectionError, TimeoutError)
    )


def _without_token(text: str) -> str:
    from huggingface_hub import get_token

    token = get_token()
    return one_line(text.replace(token, "...") if token else text)
