"""A server of an export in a process that has TensorFlow and none of what the model was made with.

    python tests/only_tensorflow.py answer EXPORT REQUESTS.pickle ANSWERS.pickle
    python tests/only_tensorflow.py soak EXPORT REQUESTS.pickle ANSWERS.pickle COUNT THREADS
    python tests/only_tensorflow.py cli ARGUMENTS_OF_SAVED_MODEL_CLI...

Requests are a list of (signature, {input: value}). One that leaves inputs to their defaults goes to the method of that
name, any other to the signature, which alone may be called from several threads. Answers are a list of
{output: array}, or the message of an error.
"""

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
sys.path = [entry for entry in sys.path if "tests" not in os.path.basename(entry)]

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


def same(left, right):
    if isinstance(left, str) or isinstance(right, str):
        return isinstance(left, str) and isinstance(right, str)
    return left.keys() == right.keys() and all((left[k] == right[k]).all() for k in left)


def resident():
    """Bytes of memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def soak(model, requests, count, threads):
    """Sends requests from several threads; returns wrong answers and the memory after each tenth of them."""
    expected = [answer(model, *request) for request in requests]
    wrong, memory = [], []

    def client(seed, number):
        chosen = random.Random(seed)
        for _ in range(number):
            i = chosen.randrange(len(requests))
            got = answer(model, *requests[i])
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
    return {"wrong": wrong, "memory": memory, "errors": sum(isinstance(e, str) for e in expected)}


def main(mode, *arguments):
    if mode == "cli":
        from tensorflow.python.tools import saved_model_cli

        sys.argv = ["saved_model_cli", *arguments]
        saved_model_cli.main()
        return
    export, requests, answers, *numbers = arguments
    model = tf.saved_model.load(export)
    with open(requests, "rb") as file:
        requests = pickle.load(file)
    if mode == "soak":
        result = soak(model, requests, *map(int, numbers))
    else:
        result = [answer(model, *request) for request in requests]
    assert not any(name in sys.modules for name in BLOCKED)
    with open(answers, "wb") as file:
        pickle.dump(result, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
