"""Runs the README's Python blocks, one after the other, and checks what they compute: `python run_readme.py README.md`.

It imports nothing of the checkout, so that it can run where the wheel alone is installed.
"""

import json
import pathlib
import re
import sys

import numpy as np
import tensorflow as tf


def main(path):
    readme = pathlib.Path(path).read_text()
    names = {}
    for code, shape in zip(re.findall(r"```python\n(.*?)```", readme, re.S), ([4], [4], None, [5]), strict=True):
        names.pop("nats", None)
        exec(code, names)  # Each block goes on from those above.
        assert shape is None or names["nats"].shape == shape
        assert shape is None or np.isfinite(names["nats"].numpy()).all()
    assert (names["drawn"].dtype, names["drawn"].shape) == (tf.uint8, [4, 8, 8, 1])
    # They are equal but for pixels whose noise lies at the very edge of a whole number.
    assert np.mean(names["again"] == names["pixels"]) > 0.98
    assert "tfp_realnvp" not in code  # The last block is a client, which has TensorFlow alone.
    # A request over REST has every input by its name.
    request = json.loads(re.search(r"predict -d '({.*?})'", readme, re.S).group(1))
    answer = names["model"].signatures[request["signature_name"]]
    values = {name: tf.constant(value) for name, value in request["inputs"].items()}
    assert values.keys() == answer.structured_input_signature[1].keys()
    assert answer(**values)["pixels"].shape == [4, 8, 8, 1]

    import tfp_realnvp

    print(pathlib.Path(tfp_realnvp.__file__).parents[1])


if __name__ == "__main__":
    main(sys.argv[1])
