"""A real `mlflow server` on loopback, with SQLite or PostgreSQL behind it, and a proxy that misbehaves."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.faults.bench import Bench, Skipped
from benchmarks.faults.checks import METRICS, RUNS, Tracked, as_tracked
from contsym.results import tracking
from tests.ports import free_ports

STARTS_WITHIN = 600
NOBODY = 65534


@dataclass
class Server:
    """An MLflow server that runs."""

    port: int
    connect: Callable[[], Any]
    """Opens its backend store."""

    def forget(self) -> None:
        """Delete all runs: the name of a run follows from its results, and each trial sends the same."""
        tables = ("latest_metrics", "metrics", "params", "tags", "input_tags", "inputs", "runs")
        with closing(self.connect()) as db, closing(db.cursor()) as cursor:
            for table in tables:
                cursor.execute(f"DELETE FROM {table}")
            db.commit()

    def tracked(self, run: str) -> tuple[list[tuple[str, str]], Tracked]:
        """What it has of a stored run; as checks.tracked."""
        where = (
            f"WHERE r.run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'contsym.run' AND value = '{run}')"
        )
        with closing(self.connect()) as db, closing(db.cursor()) as cursor:
            cursor.execute(RUNS.format(where=where))
            runs = cursor.fetchall()
            cursor.execute(METRICS.format(where=where))
            return as_tracked(runs, cursor.fetchall())


@contextmanager
def with_sqlite(bench: Bench) -> Iterator[Server]:
    folder = bench.folder / "server-sqlite"
    folder.mkdir()
    database = folder / "mlflow.db"
    shutil.copy(bench.database, database)
    with _started(folder, f"sqlite:///{database}", lambda: sqlite3.connect(database, timeout=60)) as server:
        yield server


@contextmanager
def with_postgres(bench: Bench) -> Iterator[Server]:
    """Raises Skipped where PostgreSQL or psycopg2 is not installed."""
    try:
        import psycopg2
    except ModuleNotFoundError:
        raise Skipped("psycopg2 is not installed") from None
    found = shutil.which("initdb") or next(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), None)
    if found is None:
        raise Skipped("PostgreSQL is not installed")
    programs, folder = Path(found).resolve().parent, bench.folder / "server-postgres"
    folder.mkdir()
    # It refuses to be root.
    who: dict[str, Any] = {}
    if os.geteuid() == 0:
        who = {"user": NOBODY, "group": NOBODY}
        os.chown(folder, NOBODY, NOBODY)
        _let_pass(folder)
    data, (port,) = folder / "data", free_ports(1)
    options = ["-A", "trust", "-U", "contsym", "-E", "UTF8", "--locale", "C", "-N", "-D", str(data)]
    done = subprocess.run(
        [programs / "initdb", *options], cwd="/", capture_output=True, text=True, check=False, **who
    )
    if done.returncode:
        raise Skipped(f"initdb does not work here: {done.stderr.strip()[-200:]}")
    settings = [
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        f"unix_socket_directories={folder}",
        "-c",
        "fsync=off",
    ]
    process = subprocess.Popen(
        [programs / "postgres", "-D", data, "-p", str(port), *settings],
        cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **who,
    )  # fmt: skip

    def connect(name: str = "postgres") -> Any:
        return psycopg2.connect(host="127.0.0.1", port=port, user="contsym", dbname=name)

    try:
        _wait(lambda: connect().close(), process)
        with closing(connect()) as db:
            db.autocommit = True
            db.cursor().execute("CREATE DATABASE mlflow")
        uri = f"postgresql+psycopg2://contsym@127.0.0.1:{port}/mlflow"
        with _started(folder / "mlflow", uri, lambda: connect("mlflow")) as server:
            yield server
    finally:
        process.terminate()
        process.wait(60)


def _let_pass(folder: Path) -> None:
    """A temporary folder lets nobody through but its owner."""
    for outer in folder.parents:
        if outer.stat().st_uid == os.geteuid() and not outer.stat().st_mode & 0o001:
            outer.chmod(outer.stat().st_mode | 0o011)


@contextmanager
def _started(folder: Path, uri: str, connect: Callable[[], Any]) -> Iterator[Server]:
    folder.mkdir(exist_ok=True)
    (port,) = free_ports(1)
    command, environment = tracking.ui_command(folder, uri, "127.0.0.1", port)
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(lambda: _healthy(port), process)
        yield Server(port, connect)
    finally:
        # It has workers of its own; the session is theirs alone.
        os.killpg(process.pid, 15)
        process.wait(60)


def _healthy(port: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/health")
        if connection.getresponse().status != 200:
            raise ConnectionError


def _wait(attempt: Callable[[], object], process: subprocess.Popen[Any]) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            attempt()
            return
        except Exception as error:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{process.args!r}: it does not start ({error})") from None
            time.sleep(0.5)


Behaviour = Callable[[int], tuple[str, float]]
"""For the n-th request from 1: `pass`, `status` with a code, `wait` with seconds, `drop` or `garbage`."""


@contextmanager
def proxy(server: Server) -> Iterator[Proxy]:
    found = Proxy(server.port)
    thread = threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.shutdown()
        found.server_close()
        thread.join()


class Proxy(ThreadingHTTPServer):
    """Hands requests on to the server, or does what `behaviour` says."""

    daemon_threads = True

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.behave(lambda n: ("pass", 0))

    def behave(self, behaviour: Behaviour) -> None:
        self.behaviour, self.n_requests = behaviour, 0

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has given up is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def _answer(self) -> None:
        self.server.n_requests += 1
        what, how = self.server.behaviour(self.server.n_requests)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if what == "drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if what == "status":
            self._send(int(how), b'{"error_code": "INTERNAL_ERROR", "message": "out of order"}')
            return
        if what == "garbage":
            self._send(200, b"<html>Welcome to the wireless network of this hotel</html>")
            return
        if what == "wait":
            time.sleep(how)
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=120)) as upstream:
            left_out = ("host", "connection", "content-length", "accept-encoding")
            headers = {name: value for name, value in self.headers.items() if name.lower() not in left_out}
            upstream.request(self.command, self.path, body or None, headers)
            answer = upstream.getresponse()
            self._send(answer.status, answer.read(), answer.getheader("Content-Type") or "application/json")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
