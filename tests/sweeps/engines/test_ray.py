"""Sweeps on Ray: a real head and a real second node on this machine, workers and nodes that are killed.

Over 400 lines: one cluster, whose start takes most of the seconds, serves all.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

pytest.importorskip("ray", reason="the extra `ray` is not installed; sweeps on Ray are not tested")

from contsym.config import RunConfig
from contsym.errors import ContsymError
from contsym.sweeps.engines import ray
from contsym.sweeps.engines.ray import Need, check_answers, needs_gpu, share_nodes
from contsym.sweeps.job import Job
from tests.command import contsym_here
from tests.ports import free_ports
from tests.sweeps.here import cells_here
from tests.sweeps.toy_sweep import cells
from tests.toy import nli_rows, relation_rows, write_task

SECONDS = 600
"""No sweep of these tests may take longer, even where cores are busy with other work."""
SHOTS = (8, 16)
"""A cell for each of two nodes, after the first task that they share."""
TOKEN = secrets.token_hex(32)
"""What nodes and sweeps of these tests show each other."""


def environment(**more: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    root = str(Path(__file__).parents[3])
    # `ray start --head` asks for a token from 2.60 on, if it finds one at home or makes one there.
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    ours = {"PYTHONPATH": root, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    return {**inherited, **ours, **token, **more}


class Node:
    """The processes of one `ray start --block`, in a process group of their own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.log = folder / f"node-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
        command += ["--node-ip-address=127.0.0.1", "--num-cpus=1", "--object-store-memory=80000000"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=folder,
                env=environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(lambda: "Ray runtime started" in self.log.read_text(), "a Ray node starts", 300)

    def workers(self) -> list[psutil.Process]:
        """The processes that run a job; Ray gives them its name as a title."""
        return [p for p in descendants(self.process.pid) if title(p).startswith("ray::knn_fixed")]

    def kill(self) -> None:
        """The node as a whole, as if its power went."""
        gone = descendants(self.process.pid)
        self.process.kill()  # does nothing where it was killed and waited for before
        for process in gone:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(30)
        psutil.wait_procs(gone, 30)


def descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def wait_for(happens, what: str, seconds: float = SECONDS):
    until = time.monotonic() + seconds
    while not (found := happens()):
        assert time.monotonic() < until, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def temporary():
    # Not pytest's folder: Ray's sockets lie in it, and their paths have 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def head(temporary):
    port, client, dashboard = free_ports(3)
    node = Node(
        temporary,
        *("--head", f"--port={port}", f"--ray-client-server-port={client}"),
        *("--include-dashboard=false", f"--temp-dir={temporary}", f"--dashboard-port={dashboard}"),
        # Ray hands these out to workers one by one, whether or not one of the above lies among them.
        *("--min-worker-port=0", "--max-worker-port=0"),
    )
    node.address = f"127.0.0.1:{port}"
    yield node
    node.kill()


@pytest.fixture
def second(head, temporary):
    node = Node(temporary, f"--address={head.address}", "--min-worker-port=0", "--max-worker-port=0")
    yield node
    node.kill()


@pytest.fixture(scope="module")
def world(tmp_path_factory, tiny_encoder_folder, mlflow_template) -> Path:
    """A folder with data, an encoder and an empty database; the sweeps of these tests name the first two by their paths
    in it."""
    folder = tmp_path_factory.mktemp("world")
    write_task(folder / "wikidata", relation_rows(), 64)
    write_task(folder / "nli", nli_rows(), 30)
    shutil.copytree(tiny_encoder_folder, folder / "encoder")
    shutil.copy(mlflow_template, folder)
    return folder


def words_of(world: Path, output: str, *arguments: str) -> list[str]:
    """The sweep, in the folder `world`, into an output folder with an empty database."""
    if not (world / output).exists():
        (world / output).mkdir()
        shutil.copy(world / "mlflow.db", world / output)
    words = ["sweep", "--strategies", "knn_fixed", "--seeds", "1", "--scenario", "mnli_then_wikidata"]
    words += ["--protocol", "sequential", "--shots", ",".join(map(str, SHOTS)), "--set", "steps=20"]
    words += ["--mnli", "nli", "--wikidata", "wikidata", "--encoder", "./encoder", "--device", "cpu"]
    return [*words, "--no-audit", "--json", "--output", output, *arguments]


class Sweep:
    """`contsym sweep` in a process of its own."""

    def __init__(self, world: Path, output: str, *arguments: str) -> None:
        self.output = world / output
        self.process = subprocess.Popen(
            [sys.executable, "-m", "contsym", *words_of(world, output, *arguments)],
            cwd=world,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # Where pytest itself runs in the background, Ctrl-C would be ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def finish(self) -> tuple[int, str, str]:
        try:
            stdout, stderr = self.process.communicate(timeout=SECONDS)
        finally:
            self.process.kill()
        return self.process.returncode, stdout, stderr

    def complete(self) -> str:
        """Ends well, with all cells in the JSON; gives stderr."""
        code, stdout, stderr = self.finish()
        assert code == 0, stderr
        assert [(cell["shots"], cell["state"]) for cell in json.loads(stdout)["cells"]] == [
            (shots, "done") for shots in SHOTS
        ]
        return stderr


@pytest.fixture(scope="module")
def local_results(world) -> dict[str, dict]:
    # In this process, which has one thread, as the jobs on these nodes: with another number, sums are taken in another
    # order.
    with cells_here():
        done = contsym_here(*words_of(world, "local"), cwd=world)
    assert done.returncode == 0, done.stderr
    return cells(world / "local")


@pytest.mark.night
def test_two_nodes_share_a_sweep_and_find_what_one_machine_finds(world, head, second, local_results):
    sweep = Sweep(world, "shared", "--backend", "ray", "--address", head.address, "--jobs", "2")
    seen: dict[str, set[str]] = {"head": set(), "second": set()}

    def look() -> bool:
        for name, node in (("head", head), ("second", second)):
            seen[name] |= {title(process) for process in node.workers()}
        return sweep.process.poll() is not None

    wait_for(look, "the sweep ends")
    stderr = sweep.complete()
    assert all(seen.values()), seen
    assert "tried again" not in stderr
    assert len(local_results) == len(SHOTS)
    assert cells(sweep.output) == local_results


@pytest.mark.slow
def test_a_cell_whose_worker_is_killed_is_done_again(world, head, second, local_results):
    sweep = Sweep(world, "killed", "--backend", "ray", "--address", head.address, "--jobs", "2")

    def cell_processes() -> list[psutil.Process]:
        return [p for node in (head, second) for p in node.workers() if "shots" in title(p)]

    victim = wait_for(cell_processes, "a cell is running")[0]
    victim.kill()
    stderr = sweep.complete()
    assert "its worker is gone (WorkerCrashedError); tried again" in " ".join(stderr.split())
    assert cells(sweep.output) == local_results


@pytest.mark.night
def test_a_sweep_outlives_a_node(world, head, second, local_results):
    sweep = Sweep(world, "half", "--backend", "ray", "--address", head.address, "--jobs", "2")
    wait_for(second.workers, "the second node runs a job")
    second.kill()
    stderr = sweep.complete()
    assert "tried again" in " ".join(stderr.split())
    assert cells(sweep.output) == local_results


@pytest.mark.slow
def test_ctrl_c_ends_the_work_on_the_cluster_too(world, head):
    sweep = Sweep(world, "stopped", "--backend", "ray", "--address", head.address)
    wait_for(head.workers, "a job is running")
    sweep.process.send_signal(signal.SIGINT)
    code, stdout, stderr = sweep.finish()
    assert code == 130, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    wait_for(lambda: not head.workers(), "nothing of the sweep is left", 30)


LOST = """
import os, sys, time
from pathlib import Path
from contsym.config import RunConfig
from contsym.sweeps.engines import ray as ray_executor
from contsym.sweeps.job import Job

def stand_in(job, folder):
    while not Path("go on").exists():
        time.sleep(0.1)

# A function of this script travels as a whole, as one of a library would not.
ray_executor.run_job_there = stand_in
ray_executor.not_arrived = lambda work: None
# Ray tells of lost workers on stdout, as `contsym sweep` knows.
answer, sys.stdout = sys.stdout, sys.stderr
executor = ray_executor.RayExecutor({n_jobs}, {address!r}, {options!r})
def work(key):
    return Job(key, RunConfig("knn_fixed", "wikidata_only", device="cpu"))
running = {{executor.submit(work(str(i))): i for i in range(executor.n_slots)}}
print(executor.n_slots, file=answer, flush=True)
while running:
    for handle, error in executor.wait(list(running), 1):
        running.pop(handle)
        print(f"{{type(error).__name__}}: {{error}}", file=answer, flush=True)
# Ray takes some seconds to call a node dead.
until = time.monotonic() + 60
while executor.n_slots > 1 and time.monotonic() < until:
    time.sleep(0.5)
print(executor.n_slots, file=answer)
executor.close()
"""


def engine(head: Node, n_jobs: int, options: dict[str, str]) -> subprocess.Popen:
    """An executor in a process of its own, whose jobs do nothing until they are killed."""
    program = LOST.format(address=head.address, n_jobs=n_jobs, options=options)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen) -> list[str]:
    try:
        stdout, stderr = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, stderr
    return stdout.splitlines()


@pytest.mark.slow
def test_jobs_of_a_killed_worker_and_of_a_dead_node_are_lost(head, second):
    process = engine(head, 2, {})
    wait_for(lambda: head.workers() and second.workers(), "both nodes run a job")
    head.workers()[0].kill()
    assert process.stdout.readline() == "2\n"
    assert process.stdout.readline() == "Lost: its worker is gone (WorkerCrashedError)\n"
    second.kill()
    node_died, n_slots = ended(process)
    assert node_died.startswith("Lost: ")
    # The sweep resumes on the head alone.
    assert n_slots == "1"


JOIN = (
    "import ray\nfrom contsym.sweeps.engines.ray import RayExecutor\n"
    "executor = RayExecutor(1, None, {})\nprint(ray.get_runtime_context().gcs_address)\nexecutor.close()"
)


@pytest.mark.slow
def test_a_running_cluster_is_joined_only_when_named(head):
    def joined(**variables: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", JOIN],
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().rpartition(":")[2]

    port = head.address.rpartition(":")[2]
    assert joined(RAY_ADDRESS=head.address) == port
    assert joined() != port


GPU = """
import ray, time
from pathlib import Path
from contsym.config import RunConfig
from contsym.sweeps.engines import ray as ray_executor
from contsym.sweeps.job import Job
ray_executor.choose_device = lambda asked: "cuda"
executor = ray_executor.RayExecutor(8, {address!r}, {{}})
job = Job("no such key", RunConfig("knn_fixed", "wikidata_only", encoder="./no-such-encoder", output=Path({output!r})))
handle = executor.submit(job)
print(executor.n_slots)
while not (found := executor.wait([handle], 1)):
    pass
print(found[0][1])
executor.close()
"""


@pytest.mark.slow
def test_a_job_gets_its_own_gpu_and_a_mistake_comes_back_as_a_line(head, temporary, tmp_path):
    # `ray start` accepts any number of GPUs.
    node = Node(
        temporary, f"--address={head.address}", "--num-gpus=2", "--min-worker-port=0", "--max-worker-port=0"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", GPU.format(address=head.address, output=str(tmp_path))],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    finally:
        node.kill()
    assert done.returncode == 0, done.stderr
    n_slots, error = done.stdout.strip().splitlines()
    # Two GPUs, but one core beside them; the head's core has no GPU.
    assert n_slots == "1"
    assert error.startswith("encoder './no-such-encoder' is no preset and no folder")


@pytest.mark.parametrize("by_variable", [False, True])
def test_an_address_where_nobody_answers_is_one_line_at_once(world, by_variable):
    with socket.socket() as taken:
        # Bound, and listening to nobody: no other program gets the port meanwhile.
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        named = {"RAY_ADDRESS": address} if by_variable else {}
        options = () if by_variable else ("--address", address)
        words, began = words_of(world, "nobody", "--backend", "ray", *options), time.monotonic()
        done = contsym_here(*words, cwd=world, **named)
        seconds = time.monotonic() - began
    option = "RAY_ADDRESS" if by_variable else "--address"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        f"error: {option} {address}: nobody answers there (Connection refused); "
        "expected the HOST:PORT that `ray start --head` printed"
    )
    assert seconds < 60


def test_what_listens_but_is_no_ray_cluster_is_given_up(monkeypatch):
    monkeypatch.setattr(ray, "ANSWER_SECONDS", 2.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(ContsymError, match=r"the program there is not a Ray cluster.*nothing within 2 s"):
            check_answers("--address", address)
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("address", ["auto", "ray://head:10001", "head", "head:", "head:0", "head:70000"])
def test_an_address_is_a_host_and_a_port(address):
    with pytest.raises(ContsymError, match=r"expected HOST:PORT of the cluster's head"):
        check_answers("--address", address)


@pytest.mark.parametrize(
    ("nodes", "n_jobs", "least", "n_slots", "n_cores"),
    [
        # Two nodes of 4 cores: no job can have 8, whatever their sum.
        ([{"CPU": 4}, {"CPU": 4}], 1, Need(1), 1, 4),
        ([{"CPU": 4}, {"CPU": 4}], 2, Need(1), 2, 4),
        # With 2 cores each, 4 + 4 hold four; with 3, only two.
        ([{"CPU": 4}, {"CPU": 4}], 3, Need(1), 3, 2),
        # 8 // 3 + 4 // 3 is 3, 8 // 4 + 4 // 4 too, 8 // 5 + 0 is not.
        ([{"CPU": 8}, {"CPU": 4}], 3, Need(1), 3, 4),
        ([{"CPU": 2}, {"CPU": 1}], 99, Need(1), 3, 1),
        # By default one a node, or one a GPU.
        ([{"CPU": 16}, {"CPU": 16}, {"memory": 1e9}], None, Need(1), 2, 16),
        ([{"CPU": 16, "GPU": 4}, {"CPU": 16}], None, Need(1, 1.0), 4, 4),
        ([{"CPU": 16, "GPU": 1}], None, Need(1, 0.1), 10, 1),
        # The 64 cores of the node without a GPU are of no use to jobs that need a GPU.
        ([{"CPU": 8, "GPU": 2}, {"CPU": 64}], 8, Need(1, 1.0), 2, 4),
        ([{"CPU": 8, "memory": 10e9}], 4, Need(1, memory_gb=5), 2, 4),
        ([{"CPU": 8}], 2, Need(1, 1.0), 0, 8),
        ([], 2, Need(1), 0, 1),
    ],
)
def test_jobs_never_need_more_than_their_node_has(nodes, n_jobs, least, n_slots, n_cores):
    found, need = share_nodes(nodes, n_jobs, least)
    assert (found, need.n_cores) == (n_slots, n_cores)
    # The law, by the slow way: jobs put one by one on the first node with room, none left over.
    free = [dict(node) for node in nodes]
    for _ in range(found):
        node = next(node for node in free if need.times_in(node) >= 1)
        node["CPU"] -= need.n_cores
        if need.n_gpus:
            node["GPU"] -= need.n_gpus
        if need.memory_gb:
            node["memory"] -= need.memory_gb * 1e9


def test_a_number_of_cores_is_respected():
    assert share_nodes([{"CPU": 8}], 9, Need(1), n_cores=3) == (2, Need(3))


def work(device: str) -> Job:
    return Job("key", RunConfig("knn_fixed", "wikidata_only", device=device))


def test_gpus_are_asked_for_where_the_plan_is_for_one(monkeypatch):
    monkeypatch.setattr(ray, "choose_device", lambda asked: "cuda" if asked == "auto" else asked)
    assert needs_gpu(work("auto"), 2)
    assert needs_gpu(work("cuda:0"), 2)
    assert not needs_gpu(work("cpu"), 2)
    with pytest.raises(ContsymError, match="planned for a GPU, but the Ray cluster has none"):
        needs_gpu(work("auto"), 0)
    monkeypatch.setattr(ray, "choose_device", lambda asked: "cpu")
    assert not needs_gpu(work("auto"), 0)
    with pytest.raises(ContsymError, match="this machine has no GPU, the Ray cluster has 2"):
        needs_gpu(work("auto"), 2)
