"""A Hub on this machine: the part of its interface that huggingface_hub uses, and ways to fail.

It speaks HTTP on 127.0.0.1. What is missing: Xet, without which clients upload (HF_HUB_DISABLE_XET=1), and search.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

TOKEN = "hf_secretSecretSecret"
_API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+?)(?:/(revision|tree)/([^/?]+))?/?")
_COMMIT = re.compile(r"/api/models/([^/]+/[^/]+)/(preupload|commit)/([^/?]+)")
_LARGE = re.compile(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch")
_FILE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


def commit_of(files: dict[str, bytes]) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0".encode() + content + b"\0")
    return digest.hexdigest()


@dataclass
class Repository:
    """Its commits, the commits of branches and tags, and its answers."""

    commits: dict[str, dict[str, bytes]]
    refs: dict[str, str]
    gated: bool = False
    hides_its_listing: bool = False
    """Whether, being gated, it does not even list its files."""
    private: bool = False
    moved_to: str | None = None
    lost: set[str] = field(default_factory=set)
    """Files that are listed but missing."""
    cut: dict[str, int] = field(default_factory=dict)
    """Bytes after which the connection of a file's next download ends; later downloads are complete."""
    always_cut: bool = False


@dataclass
class HubServer:
    """The settings of the tests, and the requests so far."""

    url: str = ""
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    status: int = 0
    """Status of every answer, if not 0."""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    names_files: bool = True
    """Whether a repository's description lists its files, as the real one does."""
    ended: threading.Event = field(default_factory=threading.Event)
    uploads: dict[str, bytes] = field(default_factory=dict)
    """Large files that were sent, by SHA-256, until a commit names them."""
    page: bytes | None = None
    """Body of every answer, in place of the Hub's answers."""

    def add(self, kind: str, name: str, files: dict[str, bytes], branch: str = "main") -> Repository:
        """Files of a commit at the end of a branch; the branch moves to it."""
        commit = commit_of(files)
        repository = self.repositories.setdefault((kind, name), Repository({}, {}))
        repository.commits[commit] = files
        repository.refs[branch] = commit
        return repository

    def model(self, name: str, folder: Path, **more: bytes) -> Repository:
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        return self.add("models", name, {**files, **more})


@contextmanager
def serving() -> Iterator[HubServer]:
    hub = HubServer()

    class Handler(_Handler):
        server_of_tests = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.ended.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_tests: HubServer

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def do_POST(self):
        self._receive()

    def do_PUT(self):
        self._receive()

    def _receive(self) -> None:
        """An upload: the repository is made, small files come with the commit, large ones before it."""
        hub, path = self.server_of_tests, urlsplit(self.path).path
        hub.requests.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if path.startswith("/uploads/"):
            assert hashlib.sha256(body).hexdigest() == path.removeprefix("/uploads/")
            hub.uploads[path.removeprefix("/uploads/")] = body
            self._send(200, b"", {})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._refuse(401, "", "Invalid username or password.")
        elif path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            made = hub.add("models", name, {".gitattributes": b""})
            # Releases of huggingface_hub differ in the word.
            made.private = asked.get("private", asked.get("visibility") == "private")
            self._json({"url": f"{hub.url}/{name}"})
        elif found := _LARGE.fullmatch(path):
            objects = [
                {**each, "actions": {"upload": {"href": f"{hub.url}/uploads/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            self._json({"transfer": "basic", "objects": objects})
        elif (found := _COMMIT.fullmatch(path)) and found[2] == "preupload":
            modes = {True: "lfs", False: "regular"}
            files = [
                {"path": name, "uploadMode": modes[name.endswith(".safetensors")], "shouldIgnore": False}
                for name in (each["path"] for each in json.loads(body)["files"])
            ]
            self._json({"files": files})
        elif found:
            repository = hub.repositories["models", found[1]]
            files = dict(repository.commits[repository.refs["main"]])
            for each in map(json.loads, body.splitlines()):
                value = each["value"]
                if each["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif each["key"] == "lfsFile":
                    files[value["path"]] = hub.uploads[value["oid"]]
            hub.add("models", found[1], files)
            commit = repository.refs["main"]
            self._json({"commitUrl": f"{hub.url}/{found[1]}/commit/{commit}", "commitOid": commit})
        else:
            self._refuse(404, "", "Not Found")

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _answer(self) -> None:
        hub, path = self.server_of_tests, urlsplit(self.path).path
        hub.requests.append(f"{self.command} {path}")
        if hub.ended.wait(hub.delay):
            self.close_connection = True
            return
        if hub.page is not None:
            self._send(200, hub.page, {"Content-Type": "text/html"})
            return
        if hub.status:
            self._send(hub.status, b"", hub.headers)
            return
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in ("", TOKEN):
            extra = {"X-Error-Message": "Invalid credentials in Authorization header"}
            self._send(401, b'{"error":"Invalid username or password."}', extra)
            return
        if found := _API.fullmatch(path):
            kind, name, what, revision = found.groups()
            self._with(kind, name, revision, token, lambda *at: self._listing(kind, name, what, *at))
            return
        if found := _FILE.fullmatch(path):
            kind, name, revision, file = found.groups()
            self._with(kind or "models", name, revision, token, lambda *at: self._file(unquote(file), *at))
            return
        self._refuse(404, "", "Not Found")

    def _with(self, kind, name, revision, token, answer) -> None:
        repository = self.server_of_tests.repositories.get((kind, name))
        if repository is None and not token:
            # So the Hub speaks to strangers: what does not exist might be private.
            self._refuse(401, "", "Invalid username or password.")
            return
        if repository is None:
            self._refuse(404, "RepoNotFound", "Repository not found")
            return
        if repository.moved_to:
            self._send(307, b"", {"Location": self.path.replace(name, repository.moved_to, 1)})
            return
        if repository.gated and (repository.hides_its_listing or "/resolve/" in self.path):
            self._refuse(403 if token else 401, "GatedRepo", f"Access to model {name} is restricted.")
            return
        revision = unquote(revision or "main")
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return
        answer(repository, commit)

    def _listing(self, kind, name, what, repository, commit) -> None:
        files = repository.commits[commit]
        if what == "tree":
            found = [
                {"type": "file", "path": path, "size": len(content), "oid": _etag(content)}
                for path, content in files.items()
            ]
            self._send(200, json.dumps(found).encode(), {"Content-Type": "application/json"})
            return
        found = {
            "_id": "1",
            "id": name,
            "sha": commit,
            "private": False,
            "gated": "auto" if repository.gated else False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "siblings": [{"rfilename": path, "size": len(content)} for path, content in files.items()],
        }
        if not self.server_of_tests.names_files:
            del found["siblings"]
        self._send(200, json.dumps(found).encode(), {"Content-Type": "application/json"})

    def _file(self, file, repository, commit) -> None:
        content = repository.commits[commit].get(file)
        about = {"X-Repo-Commit": commit}
        if content is None or file in repository.lost:
            self._refuse(404, "EntryNotFound", "Entry not found", about)
            return
        about |= {"ETag": f'"{_etag(content)}"', "Accept-Ranges": "bytes"}
        status, end = 200, len(content)
        if given := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            status, start = 206, int(given[1])
            about["Content-Range"] = f"bytes {start}-{end - 1}/{end}"
            content = content[start:]
        n = repository.cut.get(file) if self.command == "GET" else None
        if n is None or n >= len(content):
            self._send(status, content, about)
            return
        if not repository.always_cut:
            del repository.cut[file]
        self._send(status, content, about, n)
        self.close_connection = True

    def _refuse(self, status: int, code: str, message: str, more: dict[str, str] | None = None) -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(more or {})}
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(self, status: int, content: bytes, headers: dict[str, str], n: int | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content if n is None else content[:n])


def _etag(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()
