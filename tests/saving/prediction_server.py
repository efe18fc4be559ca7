"""This stands in for TensorFlow Serving in tests of its clients, as the real one can't be had everywhere.

As in TensorFlow Serving, an export answers in TensorFlow's C++ session, over gRPC and REST. The code around the session
was written from TensorFlow Serving's documentation: it finds inputs, fills in defaults and reads JSON. Every refusal is
INVALID_ARGUMENT or 400. There are no batching, versions or warm-up, and no method but `Predict`. What passes here can
still fail there.
"""

import concurrent.futures
import contextlib
import http.server
import json

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.python.client import pywrap_tf_session
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

_DEFAULT = "serving_default"
REFUSED = (ValueError, tf.errors.InvalidArgumentError)
# An input of a kind of NumPy's takes numbers of JSON of these kinds.
_MAY_BE = {"f": "iuf", "i": "iu", "u": "iu", "b": "b"}


class Model:
    """An export in a C++ session, which does not look at the shapes of inputs as Python does."""

    def __init__(self, export):
        self._graph = tf.Graph()
        with self._graph.as_default():
            self._session = tf.compat.v1.Session(graph=self._graph)
            self._signatures = tf.compat.v1.saved_model.load(self._session, ["serve"], export).signature_def
        self.close = self._session.close

    def dtypes(self, signature):
        """The NumPy dtype of each input."""
        return {k: tf.as_dtype(v.dtype).as_numpy_dtype for k, v in self._signature(signature).inputs.items()}

    def answer(self, signature, inputs):
        """Returns {name: array} of outputs for {name: array} of inputs, or raises one of `REFUSED`."""
        definition = self._signature(signature)
        inputs = {k: tf.make_ndarray(v) for k, v in definition.defaults.items()} | inputs
        if inputs.keys() != definition.inputs.keys():
            raise ValueError(f"inputs must be {sorted(definition.inputs)}, are {sorted(inputs)}, with defaults")
        feed = {self._tensor(definition.inputs[k]): v for k, v in inputs.items()}
        fetch = [self._tensor(v) for v in definition.outputs.values()]
        results = pywrap_tf_session.TF_SessionRun_wrapper(self._session._session, None, feed, fetch, [], None)
        return dict(zip(definition.outputs, results, strict=True))

    def _signature(self, name):
        if name not in self._signatures:
            raise ValueError(f"signature {name!r} not found")
        return self._signatures[name]

    def _tensor(self, info):
        return self._graph.get_tensor_by_name(info.name)._as_tf_output()


def _answer_json(model, request):
    """Answers a request over REST, by columns if it has columns ("inputs"), by rows if it has rows ("instances")."""
    signature = request.get("signature_name", _DEFAULT)
    dtypes = model.dtypes(signature)
    if ("inputs" in request) == ("instances" in request):
        raise ValueError("must have one of 'inputs' and 'instances'")
    if "inputs" in request:
        columns = _named(request["inputs"], dtypes)
    else:
        rows = [_named(row, dtypes) for row in request["instances"]]
        columns = {k: [row[k] for row in rows] for k in dtypes}
    outputs = model.answer(signature, {k: _array(k, columns[k], dtype) for k, dtype in dtypes.items()})
    lists = {k: v.tolist() for k, v in outputs.items()}
    if "inputs" in request:
        return {"outputs": lists if len(lists) > 1 else lists.popitem()[1]}
    rows = zip(*lists.values(), strict=True)
    return {"predictions": [dict(zip(lists, row, strict=True)) if len(row) > 1 else row[0] for row in rows]}


def _named(value, names):
    """Returns a value for each input. The only input of a signature needs no name."""
    if not isinstance(value, dict) and len(names) == 1:
        value = dict.fromkeys(names, value)
    missing = [k for k in names if not isinstance(value, dict) or k not in value]
    if missing:
        raise ValueError(f"missing named inputs: {missing}")
    return value


def _array(name, value, dtype):
    array = np.array(value)
    if array.dtype.kind not in _MAY_BE[np.dtype(dtype).kind]:
        raise ValueError(f"{name}: can't be {np.dtype(dtype)}")
    return array.astype(dtype)


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, name, model):
        self._name, self._model = name, model

    def Predict(self, request, context):
        spec = request.model_spec
        try:
            if spec.name != self._name:
                raise ValueError(f"model {spec.name!r} not found")
            inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
            outputs = self._model.answer(spec.signature_name or _DEFAULT, inputs)
        except REFUSED as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return predict_pb2.PredictResponse(outputs={k: tf.make_tensor_proto(v) for k, v in outputs.items()})


def _handler(name, model):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                if self.path != f"/v1/models/{name}:predict":
                    raise ValueError(f"{self.path} not found")
                status, answer = 200, _answer_json(model, json.loads(body))
            except REFUSED as error:
                status, answer = 400, {"error": str(error)}
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    return Handler


@contextlib.contextmanager
def serve(export, name):
    """Serves an export under a name, and gives the ports of 127.0.0.1 for gRPC and for REST."""
    with (
        contextlib.closing(Model(export)) as model,
        http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(name, model)) as rest,
        concurrent.futures.ThreadPoolExecutor(3) as pool,
    ):
        # TensorFlow Serving has no limit either.
        rpc = grpc.server(pool, options=[("grpc.max_receive_message_length", -1)])
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Service(name, model), rpc)
        port = rpc.add_insecure_port("127.0.0.1:0")
        pool.submit(rest.serve_forever)
        rpc.start()
        try:
            yield port, rest.server_port
        finally:
            rest.shutdown()
            rpc.stop(None).wait()
