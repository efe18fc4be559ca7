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

_PAUSE = 0.3  # seconds between two questions
_GONE = 3.0  # seconds without a question after which a worker is gone
_LAST_WORDS = 1.5  # seconds in which a refusal is told
_MOST_BYTES = 2**20


class WorkerMissing(Exception):
    """Not all workers have come in time."""


def meet(workers, started_with, begin_with, seconds):
    """Returns what the chief's `begin_with` returns, as soon as all workers are there.

    Args:
      workers: `Workers`.
      started_with: dict for JSON, which must be that of the chief, e.g. flags.
      begin_with: function without arguments that returns a dict for JSON. Only the chief's is called. Its errors are
        raised there, and end the other workers, too.
      seconds: float, how long to wait.

    Raises:
      WorkerMissing: if a worker has not come by then; the message has the addresses that did not answer.
      ValueError: if the chief refuses to begin, e.g. since a worker was started with something else.
      OSError: if the chief can't answer at its address.
    """
    if not workers.several:
        return begin_with()
    deadline = time.monotonic() + seconds
    # As JSON gives it back.
    began = json.loads(json.dumps({"number of workers": len(workers.addresses), **started_with}))
    if workers.is_chief:
        return _chief(workers, began, begin_with, deadline, seconds)
    return _other(workers, began, deadline, seconds)


class _Meeting:
    """What the chief knows of the other workers; several threads use it."""

    def __init__(self, workers, began):
        self._workers, self._began = workers, began
        self._lock = threading.Lock()
        self._asked: dict[int, float] = {}
        self._told: set[int] = set()
        self._begun = False
        self.begin_with = None
        self.refusal = ""

    @property
    def missing(self):
        """The numbers of the workers that have not come, or have gone."""
        now = time.monotonic()
        return [i for i in self._others if now - self._asked.get(i, -_GONE) >= _GONE]

    @property
    def over(self):
        """Whether all have been told to begin."""
        return self._told == set(self._others)

    @property
    def _others(self):
        return range(1, len(self._workers.addresses))

    def answer(self, question):
        """Returns the answer to a worker's question; raises LookupError, TypeError or ValueError if it is none."""
        worker, began = int(question["worker"]), dict(question["began"])
        if worker not in self._others:
            raise ValueError(f"there is no worker {worker}")
        with self._lock:
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
            self._asked[worker] = time.monotonic()
            self._begun |= self.begin_with is not None and not self.missing
            if not self._begun:
                return {"missing": self.missing}
            return {"begin_with": self.begin_with}

    def was_told(self, worker):
        """Notes that a worker has the answer by which it begins."""
        self._told.add(int(worker))


def _chief(workers, began, begin_with, deadline, seconds):
    meeting = _Meeting(workers, began)

    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = 5  # seconds for a whole question

        def do_POST(self):
            try:
                size = min(int(self.headers["Content-Length"]), _MOST_BYTES)
                question = json.loads(self.rfile.read(size))
                answer, status = meeting.answer(question), 200
            except (AttributeError, LookupError, TypeError, ValueError):
                answer, status = {}, 400
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())
            if "begin_with" in answer:
                meeting.was_told(question["worker"])

        def log_message(self, *_):
            pass

    class Server(http.server.ThreadingHTTPServer):
        # Its end waits until every answer is written: TensorFlow stops all threads while it starts.
        daemon_threads = False

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
                if time.monotonic() > deadline:
                    raise WorkerMissing(_missing(workers, meeting.missing, seconds))
                time.sleep(0.05)
            if meeting.refusal:
                raise ValueError(meeting.refusal)
            return meeting.begin_with
        finally:
            if meeting.refusal:
                time.sleep(_LAST_WORDS)
            server.shutdown()


def _other(workers, began, deadline, seconds):
    question, missing = json.dumps({"worker": workers.index, "began": began}).encode(), [0]
    while time.monotonic() < deadline:
        answer = _ask(workers.addresses[0], question)
        if "begin_with" in answer:
            return answer["begin_with"]
        if "refused" in answer:
            raise ValueError(answer["refused"])
        missing = answer.get("missing", [0])
        time.sleep(_PAUSE)
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
    names = ", ".join(f"worker {i} ({workers.addresses[i]})" for i in numbers)
    return f"{names} did not come within {seconds:g} s"
