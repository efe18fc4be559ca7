"""This program answers requests from an export where TensorFlow is, and nothing else that the model was made with.

    python tests/saving/only_tensorflow.py answer EXPORT REQUESTS.pickle ANSWERS.pickle
    python tests/saving/only_tensorflow.py soak_python EXPORT REQUESTS.pickle ANSWERS.pickle COUNT THREADS
    python tests/saving/only_tensorflow.py soak_session EXPORT REQUESTS.pickle ANSWERS.pickle COUNT THREADS
    python tests/saving/only_tensorflow.py peak EXPORT REQUESTS.pickle PEAKS.pickle
    python tests/saving/only_tensorflow.py cli ARGUMENTS_OF_SAVED_MODEL_CLI...

Requests are a list of (signature, {input: value}). A request that leaves inputs to their defaults goes to the method of
that name, and any other goes to the signature. Only signatures may be called from several threads. An answer is
{output: array} or the message of an error.
"""

import functools
import os
import pickle
import random
import sys
import threading

BLOCKED = ("tensorflow_probability", "tf_keras", "tfp_realnvp", "tensorflow_serving", "jax")


class _Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ImportError(f"{name} is not to be had here")


sys.meta_path.insert(0, _Blocker())
# Python looks for modules in the folder of the program first, and no module of the tests is to be had either.
sys.path.remove(os.path.dirname(os.path.abspath(__file__)))

import tensorflow as tf  # noqa: E402


def answer(model, signature, inputs):
    """The answer to a request, or the message of the error it leads to."""
    function = model.signatures[signature]
    specs = function.structured_input_signature[1]
    try:
        if specs.keys() == inputs.keys():
            answers = function(**{k: tf.constant(v, specs[k].dtype) for k, v in inputs.items()})
        else:
            answers = getattr(model, signature)(**inputs)
        return {k: v.numpy() for k, v in answers.items()}
    except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
        return str(error)


def in_session(export):
    """Returns a function that answers through a C++ session, as servers do."""
    with tf.Graph().as_default() as graph:
        session = tf.compat.v1.Session(graph=graph)
        definitions = tf.compat.v1.saved_model.load(session, ["serve"], export).signature_def

    def ask(signature, inputs):
        definition = definitions[signature]
        try:
            return session.run(
                {k: v.name for k, v in definition.outputs.items()},
                {definition.inputs[k].name: v for k, v in inputs.items()},
            )
        except (tf.errors.InvalidArgumentError, TypeError, ValueError) as error:
            return str(error)

    return ask


def same(left, right):
    if isinstance(left, str) or isinstance(right, str):
        return isinstance(left, str) and isinstance(right, str)
    return left.keys() == right.keys() and all((left[k] == right[k]).all() for k in left)


def resident():
    """Bytes of memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def soak(ask, requests, count, threads):
    """Sends requests from several threads; returns wrong answers and the memory after each tenth of them."""
    expected = [ask(*request) for request in requests]
    wrong, memory = [], []

    def client(seed, number):
        chosen = random.Random(seed)
        for _ in range(number):
            i = chosen.randrange(len(requests))
            got = ask(*requests[i])
            if not same(got, expected[i]):
                wrong.append((requests[i], got, expected[i]))

    for tenth in range(10):
        clients = [
            threading.Thread(target=client, args=(threads * tenth + i, count // 10 // threads)) for i in range(threads)
        ]
        for thread in clients:
            thread.start()
        for thread in clients:
            thread.join()
        memory.append(resident())
    return {"wrong": wrong, "memory": memory, "refused": sum(isinstance(e, str) for e in expected)}


def peaks(ask, requests):
    """For each request the shapes of its answer, and this process's memory before it and at its peak, in bytes."""
    found = []
    for request in requests:
        before = resident()
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # Linux counts the peak from here on.
        shapes = {name: value.shape for name, value in ask(*request).items()}
        with open("/proc/self/status") as file:
            peak = next(1024 * int(line.split()[1]) for line in file if line.startswith("VmHWM"))
        found.append((shapes, before, peak))
    return found


def main(mode, *arguments):
    if mode == "cli":
        from tensorflow.python.tools import saved_model_cli

        sys.argv = ["saved_model_cli", *arguments]
        saved_model_cli.main()
        return
    export, requests, answers, *numbers = arguments
    with open(requests, "rb") as file:
        requests = pickle.load(file)
    if mode == "soak_session":
        result = soak(in_session(export), requests, *map(int, numbers))
    elif mode == "peak":
        result = peaks(in_session(export), requests)
    else:
        model = tf.saved_model.load(export)
        ask = functools.partial(answer, model)
        result = soak(ask, requests, *map(int, numbers)) if mode == "soak_python" else [ask(*r) for r in requests]
    assert not any(name in sys.modules for name in BLOCKED)
    with open(answers, "wb") as file:
        pickle.dump(result, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
