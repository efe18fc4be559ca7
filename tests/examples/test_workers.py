"""Who the workers are, as the environment says it, and how they meet."""

import json
import os
import subprocess
import textwrap
import threading
import time

import pytest

from examples import rendezvous, workers
from examples.ports import free_ports
from tests.examples.commands import ROOT


def config(addresses=("a:1", "b:2"), kind="worker", index=1, **jobs):
    return {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses} | jobs, "task": {"type": kind, "index": index}})}


def test_tf_config_names_the_workers(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config()["TF_CONFIG"])
    found = workers.find()
    assert (found.addresses, found.index, found.several, found.is_chief) == (("a:1", "b:2"), 1, True, False)
    assert str(found) == "worker 1 of 2, at b:2 (TF_CONFIG)"
    assert found.resolver.task_id == 1


def test_slurm_names_the_workers(monkeypatch):
    names = {"STEP_NODELIST": "node[7,9-10]", "STEP_TASKS_PER_NODE": "2,1(x2)", "STEP_NUM_TASKS": "4", "PROCID": "0"}
    for name, value in names.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    tasks = [("node7", "0"), ("node7", "1"), ("node9", "0"), ("node10", "0")]
    for node, number in tasks:
        monkeypatch.setenv("SLURMD_NODENAME", node)
        monkeypatch.setenv("SLURM_LOCALID", number)
        found = workers.find()
        assert found.addresses == ("node10:8888", "node7:8888", "node7:8889", "node9:8888")
        assert found.addresses[found.index] == f"{node}:{8888 + int(number)}"
        assert found.resolver.cluster_spec().task_address("worker", found.resolver.task_id) == str(found).split()[5]
        assert found.source == "Slurm"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, r"nothing says which workers there are: set TF_CONFIG.*or start all of them by srun"),
        ({"TF_CONFIG": "{"}, r"TF_CONFIG=\{: must be JSON with cluster\.worker"),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, r"must be JSON.*KeyError: 'task'"),
        (config(addresses=["a", "b"]), "must be JSON with cluster.worker, a list of HOST:PORT"),
        (config(chief=["c:3"]), r"has the tasks \['chief', 'worker'\]: must have workers alone"),
        (config(kind="evaluator"), "must have workers alone; the first one is the chief"),
        (config(index=2), r"task\.index must be in \[0, 2\)"),
        (config(addresses=["a:1", "a:1"]), "each worker must have an address of its own"),
        ({"SLURM_PROCID": "0"}, "Slurm's environment is not understood"),
    ],
)
def test_what_names_no_workers_is_refused(environment, words):
    with pytest.raises(ValueError, match=words):
        workers.find(environment)


def met(count, started_with, begin_with=dict, seconds=20.0, absent=()):
    """What `meet` returns or raises in each of several workers, which are threads here."""
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(count))
    results = [None] * count

    def work(i):
        try:
            own = workers.Workers(addresses, i, "test")
            results[i] = rendezvous.meet(own, started_with(i), begin_with if i == 0 else None, seconds)
        except Exception as error:
            results[i] = error

    threads = [threading.Thread(target=work, args=[i]) for i in range(count) if i not in absent]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results, addresses


def test_all_begin_with_what_the_chief_says():
    results, _ = met(3, lambda i: {"seed": 3}, lambda: {"checkpoint": "step-4"})
    assert results == [{"checkpoint": "step-4"}] * 3


def test_a_process_alone_waits_for_nobody():
    assert rendezvous.meet(workers.ALONE, {}, lambda: {"checkpoint": None}, 1.0) == {"checkpoint": None}


def test_who_does_not_come_is_named():
    results, addresses = met(3, lambda i: {}, seconds=4.0, absent=[2])
    for result in results[:2]:
        assert isinstance(result, rendezvous.WorkerMissing)
        assert str(result) == f"worker 2 ({addresses[2]}) did not come within 4 s"


def test_a_chief_that_does_not_come_is_named():
    results, addresses = met(2, lambda i: {}, seconds=2.0, absent=[0])
    assert str(results[1]) == f"worker 0 ({addresses[0]}) did not come within 2 s"


def question(addresses, worker=1, name="a", began=None):
    own = {"worker": worker, "name": name, "addresses": addresses, "began": began or {}}
    return json.dumps(own).encode()


def chief_asked(questions, seconds=20.0):
    """What `meet` raises in the chief of two workers, and its answers to the questions of others."""
    addresses, results = tuple(f"127.0.0.1:{port}" for port in free_ports(2)), []

    def chief():
        try:
            results.append(rendezvous.meet(workers.Workers(addresses, 0, "test"), {}, lambda: {"x": 1}, seconds))
        except Exception as error:
            results.append(error)

    thread = threading.Thread(target=chief)
    thread.start()
    answers = []
    for make in questions:
        while not (answer := rendezvous._ask(addresses[0], make(addresses))) and make is questions[0]:
            time.sleep(0.05)
        answers.append(answer)
    thread.join()
    return results[0], answers


def test_a_worker_that_came_and_went_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(rendezvous, "_GONE", 1.0)
    began = time.monotonic()
    addresses = tuple(f"127.0.0.1:{port}" for port in free_ports(4))
    results = []

    def work(i):
        try:
            rendezvous.meet(workers.Workers(addresses, i, "test"), {}, dict, 30.0)
        except rendezvous.WorkerMissing as error:
            results.append(str(error))

    threads = [threading.Thread(target=work, args=[i]) for i in (0, 1)]
    for thread in threads:
        thread.start()
    while not rendezvous._ask(addresses[0], question(addresses, worker=2)):
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    assert results[0] == f"worker 2 ({addresses[2]}) came, and has gone"
    assert results[1] == f"worker 0 ({addresses[0]}) came, and has gone"
    assert time.monotonic() - began < 20


def test_who_is_no_worker_of_this_training_ends_nothing():
    def nonsense(addresses):
        return b'{"worker": 1}'

    def others(addresses):
        return question([addresses[0], "elsewhere:1"])

    result, answers = chief_asked([others, nonsense, question])
    assert result == {"x": 1}
    assert answers[0]["refused"].endswith("start all with the same list.")
    assert answers[1:] == [{}, {"begin_with": {"x": 1}}]


def test_two_processes_are_not_one_worker():
    addresses, asked = tuple(f"127.0.0.1:{port}" for port in free_ports(3)), {"worker": 1, "began": {}}
    meeting = rendezvous._Meeting(workers.Workers(addresses, 0, "test"), {})
    assert meeting.answer(asked | {"addresses": addresses, "name": "a"}) == {"missing": [2]}
    again = {"again": "another process is worker 1 already"}
    assert meeting.answer(asked | {"addresses": addresses, "name": "b"}) == again
    meeting._asked[1] -= 60
    assert meeting.answer(asked | {"addresses": addresses, "name": "b"}) == {"missing": [2]}


def test_what_was_started_otherwise_is_refused():
    results, addresses = met(3, lambda i: {"seed": 7 * (i == 1)})
    for result in results:
        assert f"worker 1, {addresses[1]}, was started with something else than worker 0 (seed: 7" in str(result)


def test_the_others_get_the_error_of_the_chief():
    def fails():
        raise OSError("no space")

    results, _ = met(3, lambda i: {}, fails)
    assert [type(result) for result in results] == [OSError, ValueError, ValueError]
    assert all("no space" in str(result) for result in results)


def test_the_pods_of_kubernetes_know_who_they_are(tmp_path):
    """Runs what a pod of jobset.yaml runs, with another program in the place of Python."""
    text = (ROOT / "examples" / "cluster" / "jobset.yaml").read_text()
    script = textwrap.dedent(text.partition("- |\n")[2].partition("ports:")[0].rpartition("\n")[0])
    (tmp_path / "python").write_text('#!/bin/sh\necho "$TF_CONFIG"\necho "$@"\n')
    (tmp_path / "python").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "WORKERS": "3", "JOB_COMPLETION_INDEX": "1"}
    printed = subprocess.run(["/bin/bash", "-euc", script], env=environment, capture_output=True, text=True, check=True)
    tf_config, arguments = printed.stdout.splitlines()
    found = workers.find({"TF_CONFIG": tf_config})
    assert (found.index, found.addresses[2]) == (1, "realnvp-worker-0-2.realnvp:2222")
    assert arguments.startswith("-m examples.train --strategy=multi_worker")


SRUN = """#!/bin/bash
# Two tasks, one after the other, with the options left out; ends with the highest code, as Slurm's does.
while [[ $1 == --* ]]; do shift; done
highest=0
for task in 0 1; do
  SLURM_PROCID=$task "$@"
  code=$?
  ((code > highest)) && highest=$code
done
exit $highest
"""


@pytest.mark.parametrize(
    ("codes", "restarts", "code", "requeued"),
    [
        ([0, 0], 0, 0, False),
        ([75, 137], 0, 137, True),
        ([130, 130], 0, 130, True),  # The job's time is over.
        ([1, 75], 0, 1, False),  # The chief has met an error.
        ([75, 75], 100, 75, False),
    ],
)
def test_the_batch_script_of_slurm(codes, restarts, code, requeued, tmp_path):
    programs = {
        "srun": SRUN,
        "scontrol": f"#!/bin/sh\necho $@ > {tmp_path}/requeued\n",
        "python": f"#!/bin/bash\ncodes=({' '.join(map(str, codes))})\nexit ${{codes[SLURM_PROCID]}}\n",
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    script = ROOT / "examples" / "cluster" / "slurm.sh"
    command = ["/bin/bash", str(script), "--config=digits"]
    variables = environment | {"SLURM_RESTART_COUNT": str(restarts)}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.returncode == code, done
    assert (tmp_path / "requeued").exists() == requeued
    assert ("task 0 ended with 1" in done.stderr) == (1 in codes)
