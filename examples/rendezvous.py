"""Workers wait for each other before TensorFlow does, which would wait without limit, and deaf to SIGTERM.

The chief answers at its address. Every other worker asks it again and again whether all are there, and says with what
it was started. When all have asked, and were started alike, the chief tells them what to begin with, leaves the address
to TensorFlow's own server, and all go on.
"""

import http.client
import http.server
import json
import threading
import time
import uuid

_GONE = 20.0  # seconds without a word after which a worker that had come is lost
_LAST_WORDS = 30.0  # seconds in which a refusal is told
_MOST_BYTES = 2**20


class WorkerMissing(Exception):
    """A worker has not come in time, or has gone again."""


def _pause(workers):
    """Returns the seconds between two questions of a worker; the chief answers all of them."""
    return 0.3 + 0.01 * len(workers.addresses)


def meet(workers, started_with, begin_with, seconds):
    """Returns what the chief's `begin_with` returns, as soon as all workers are there.

    Args:
      workers: `Workers`.
      started_with: dict for JSON, which must be that of the chief, e.g. flags.
      begin_with: function without arguments that returns a dict for JSON. Only the chief's is called. Its errors are
        raised there, and end the other workers, too.
      seconds: float, how long to wait.

    Raises:
      WorkerMissing: if a worker has not come by then, or came and has gone; the message has the addresses.
      ValueError: if the chief refuses to begin, e.g. since a worker was started with something else.
      OSError: if the chief can't answer at its address.
    """
    if not workers.several:
        return begin_with()
    deadline = time.monotonic() + seconds
    # As JSON gives it back.
    began = json.loads(json.dumps(started_with))
    if workers.is_chief:
        return _chief(workers, began, begin_with, deadline, seconds)
    return _other(workers, began, deadline, seconds)


class _Meeting:
    """What the chief knows of the other workers; several threads use it."""

    def __init__(self, workers, began):
        self._workers, self._began = workers, began
        self._lock = threading.Lock()
        self._asked: dict[int, float] = {}
        self._names: dict[int, str] = {}
        self._told: set[int] = set()
        self._fresh = 10 * _pause(workers)
        self._begun = False
        self.begin_with = None
        self.refusal = ""

    @property
    def missing(self):
        """The numbers of the workers that have not come, or are silent."""
        return self._silent_for(self._fresh)

    @property
    def lost(self):
        """The numbers of the workers that had come, and have gone."""
        return [i for i in self._silent_for(_GONE) if i in self._asked and i not in self._told]

    @property
    def over(self):
        """Whether all have been told to begin, or why not."""
        return self._told == set(self._others)

    def _silent_for(self, seconds):
        now = time.monotonic()
        return [i for i in self._others if now - self._asked.get(i, -seconds) >= seconds]

    @property
    def _others(self):
        return range(1, len(self._workers.addresses))

    def answer(self, question):
        """Returns the answer to a worker's question; raises LookupError, TypeError or ValueError if it is none."""
        worker, began, name = int(question["worker"]), dict(question["began"]), str(question["name"])
        theirs, ours = [str(address) for address in question["addresses"]], list(self._workers.addresses)
        if theirs != ours:
            return {
                "refused": f"worker 0, {ours[0]}, has other workers: {', '.join(ours)}; start all with the same list."
            }
        if worker not in self._others:
            raise ValueError(f"there is no worker {worker}")
        with self._lock:
            if self._names.get(worker, name) != name and worker not in self.missing:
                return {"again": f"another process is worker {worker} already"}
            names = sorted(began.keys() | self._began.keys())
            differences = [n for n in names if began.get(n) != self._began.get(n)]
            if differences:
                which = "; ".join(f"{n}: {began.get(n)!r} there, {self._began.get(n)!r} here" for n in differences)
                self.refusal = (
                    f"worker {worker}, {self._workers.addresses[worker]}, was started with something else than "
                    f"worker 0 ({which}); start all workers with the same command."
                )
            if self.refusal:
                return {"refused": self.refusal}
            self._asked[worker], self._names[worker] = time.monotonic(), name
            self._begun |= self.begin_with is not None and not self.missing
            if not self._begun:
                return {"missing": self.missing}
            return {"begin_with": self.begin_with}

    def was_told(self, worker):
        """Notes that a worker has the answer by which it begins, or ends."""
        self._told.add(int(worker))


def _chief(workers, began, begin_with, deadline, seconds):
    meeting = _Meeting(workers, began)

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 5  # seconds without a byte

        def do_POST(self):
            try:
                size = max(0, min(int(self.headers["Content-Length"]), _MOST_BYTES))
                question = json.loads(self.rfile.read(size))
                answer, status = meeting.answer(question), 200
            except (AttributeError, LookupError, TypeError, ValueError):
                answer, status = {}, 400
            text = json.dumps(answer).encode()
            self.send_response(status)
            # So that nobody waits for the end of the connection: TensorFlow stops all threads while it starts.
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
            if "begin_with" in answer or answer.get("refused") == meeting.refusal:
                meeting.was_told(question["worker"])

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True  # Nobody who writes slowly holds up the end.
        request_queue_size = 1024

        def handle_error(self, *_):
            pass  # Who has gone away asks again.

    address = workers.addresses[0]
    try:
        server = Server(("", int(address.rpartition(":")[2])), Handler)
    except OSError as error:
        raise OSError(f"{address}: can't be listened at ({error.strerror}); free the port, or name another.") from error
    with server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            try:
                meeting.begin_with = begin_with()
            except (ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
                meeting.refusal = f"worker 0, {address}: {error}"
                raise
            while not meeting.over and not meeting.refusal:
                if meeting.lost:
                    raise WorkerMissing(_gone(workers, meeting.lost))
                if time.monotonic() > deadline:
                    raise WorkerMissing(_missing(workers, meeting.missing, seconds))
                time.sleep(0.05)
            if meeting.refusal:
                raise ValueError(meeting.refusal)
            return meeting.begin_with
        finally:
            end = time.monotonic() + _LAST_WORDS
            while meeting.refusal and not meeting.over and time.monotonic() < min(end, deadline):
                time.sleep(0.05)
            server.shutdown()


def _other(workers, began, deadline, seconds):
    own = {"worker": workers.index, "name": uuid.uuid4().hex, "addresses": workers.addresses, "began": began}
    question, missing, heard = json.dumps(own).encode(), [0], None
    while time.monotonic() < deadline:
        answer = _ask(workers.addresses[0], question)
        if answer:
            heard = time.monotonic()
        elif heard is not None and time.monotonic() > heard + _GONE:
            raise WorkerMissing(_gone(workers, [0]))
        if "begin_with" in answer:
            return answer["begin_with"]
        if "refused" in answer:
            raise ValueError(answer["refused"])
        if "again" in answer:
            raise WorkerMissing(answer["again"])
        missing = answer.get("missing", missing)
        time.sleep(_pause(workers))
    raise WorkerMissing(_missing(workers, missing, seconds))


def _ask(address, question):
    """Returns the chief's answer, empty if it gives none."""
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=5)
    try:
        connection.request("POST", "/", question)
        answer = json.loads(connection.getresponse().read(_MOST_BYTES))
        return answer if isinstance(answer, dict) else {}
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()


def _missing(workers, numbers, seconds):
    return f"{_named(workers, numbers)} did not come within {seconds:g} s"


def _gone(workers, numbers):
    return f"{_named(workers, numbers)} came, and has gone"


def _named(workers, numbers):
    return ", ".join(f"worker {i} ({workers.addresses[i]})" for i in numbers)
