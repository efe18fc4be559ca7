"""Descriptions from an attacker, or of a file that is damaged, by name: no program may come from them.

Each is a function of two paths: one that the code of the attacker would create, and a module that creates it as well
when it is imported.
"""

import codecs
import marshal
import pickle

IMAGE = [4, 4, 1]


class _Touch:
    """What pickle turns into a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def on_prior(bijector):
    normal = {"class": "tfd.Normal", "loc": 0.0, "scale": 1.0}
    prior = {"class": "tfd.Sample", "distribution": normal, "sample_shape": IMAGE}
    return {"class": "tfd.TransformedDistribution", "distribution": prior, "bijector": bijector}


def flow(**options):
    return on_prior({"class": "tfp_realnvp.RealNVPImage", "channels": 1} | options)


def conditioner(layer):
    """A coupling that has a description of a Keras object for its network."""
    coupling = {"class": "tfp_realnvp.AffineCoupling", "mask": {"class": "tfp_realnvp.Checkerboard", "parity": 0}}
    return on_prior(coupling | {"conditioner": {"class": "Keras", "layer": layer}})


def keras(class_name, module="keras.layers", *, name=None, **config):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": name}


def function(config, module, registered_name="function"):
    return {"module": module, "class_name": "function", "config": config, "registered_name": registered_name}


def _pickled(touched):
    data = list(pickle.dumps(_Touch(touched)))
    return {"class": "Tensor", "dtype": "uint8", "value": data}


def _lambda(touched, module="keras.layers"):
    """A layer whose bytecode creates the file when it is called, as Keras' oldest format stores it."""
    code = compile(f"(lambda x: open({str(touched)!r}, 'w'))", "evil", "eval").co_consts[0]
    encoded = codecs.encode(marshal.dumps(code), "base64").decode("ascii")
    value = {"class_name": "__lambda__", "config": {"value": [encoded, None, None]}}
    return keras("Lambda", module, name="lambda", function=value, trainable=True, dtype="float32")


def _autoregressive(touched, module):
    loads = {"class": "Keras", "layer": function("loads", "pickle")}
    return {"class": "tfd.Autoregressive", "distribution_fn": loads, "sample0": _pickled(touched), "num_steps": 1}


def _distribution_lambda(touched):
    """The arguments of a class that TFP registers with Keras: it unpickles the first."""
    made = codecs.encode(pickle.dumps(_Touch(touched)), "base64").decode("ascii")
    return {"make_distribution_fn": made, "function": None, "function_type": "raw"}


def _functional(**inputs):
    """A functional model of layers by name, each with the name of the layer that it takes its input from."""
    layers = [
        _dense() | {"name": name, "inbound_nodes": [[[source, 0, 0, {}]]] if source else []}
        for name, source in inputs.items()
    ]
    ends = {"input_layers": [[layers[0]["name"], 0, 0]], "output_layers": [[layers[-1]["name"], 0, 0]]}
    return keras("Functional", "tf_keras.src.engine.functional", name="Functional", layers=layers, **ends)


def variable(*shape):
    return {"class": "Variable", "shape": list(shape), "dtype": "float32", "trainable": True, "name": "v"}


def _transformed(variable, bijector):
    """A scale that is a variable seen through a bijector."""
    return on_prior(
        {"class": "tfb.Scale", "scale": {"class": "TransformedVariable"} | variable | {"bijector": bijector}}
    )


def _sequential(*parts, module="keras"):
    found = keras("Sequential", module, name="sequential", layers=list(parts))
    return {key: value for key, value in found.items() if module or key != "module"}


def _dense(units=2, **config):
    layer = keras("Dense", name="dense", trainable=True, dtype="float32", units=units, **config)
    return layer | {"build_config": {"input_shape": [None, 4, 4, 1]}}


def _deep(levels):
    value = 0.0
    for _ in range(levels):
        value = [value]
    return value


def _inline(layer):
    return on_prior(
        {"class": "tfb.Inline", "forward_fn": {"class": "Keras", "layer": layer}, "forward_min_event_ndims": 3}
    )


RUNS_CODE = {
    "pickle by tfd.Autoregressive": _autoregressive,
    "pickle.loads": lambda touched, module: conditioner(function("loads", "pickle")),
    "os.system by tfb.Inline": lambda touched, module: _inline(function("system", "os")),
    "builtins.exec": lambda touched, module: conditioner(function("exec", "builtins")),
    "builtins.eval, registered as an activation": lambda *_: conditioner(function("eval", "builtins", "relu")),
    "relu of another module": lambda touched, module: conditioner(function("relu", module, "relu")),
    "a function of a new module": lambda touched, module: conditioner(function("anything", module)),
    "a class of a new module": lambda touched, module: conditioner(keras("Anything", module)),
    "a module within Keras": lambda *_: conditioner(function("func_load", "keras.src.utils.generic_utils")),
    "subprocess.Popen": lambda touched, module: conditioner(keras("Popen", "subprocess", args=["touch", str(touched)])),
    "Lambda": lambda touched, module: conditioner(_lambda(touched)),
    "Lambda under Keras' own prefix": lambda touched, module: conditioner(_lambda(touched, "tf_keras.layers")),
    "Lambda in Sequential": lambda touched, module: conditioner(_sequential(_lambda(touched))),
    "Lambda in Sequential of the oldest format": lambda touched, module: conditioner(
        _sequential({"class_name": "Lambda", "config": _lambda(touched)["config"]}, module="")
    ),
    "Lambda by the name of a registered class": lambda touched, module: conditioner(
        _sequential({"class_name": "Lambda", "config": {}, "registered_name": "tfp_realnvp>Adam"})
    ),
    "Lambda in a functional model": lambda touched, module: conditioner(
        keras("Functional", "tf_keras.src.engine.functional", name="Functional", layers=[_lambda(touched)])
    ),
    "a lambda": lambda touched, module: conditioner(_lambda(touched)["config"]["function"]),
    "TensorFlow's read_file": lambda *_: conditioner(
        keras("TFOpLambda", "tf_keras.src.layers.core.tf_op_layer", name="TFOpLambda", function="io.read_file")
    ),
    "a vocabulary file": lambda *_: conditioner(keras("StringLookup", vocabulary="/etc/passwd")),
    "another vocabulary file": lambda *_: conditioner(keras("TextVectorization", vocabulary="/etc/passwd")),
    "a type specification": lambda touched, module: conditioner(
        keras("__typespec__", module) | {"spec_name": "Anything"}
    ),
    "an array of long strings": lambda *_: conditioner(keras("__numpy__", dtype="S4000000000", value=["a", "b"])),
    "an activation by name": lambda *_: conditioner(_dense(activation="deserialize")),
    "an activation by module": lambda touched, module: conditioner(_dense(activation=function("system", "os"))),
    "an initializer by module": lambda *_: conditioner(_dense(kernel_initializer=function("loads", "pickle"))),
    "an initializer of the oldest format": lambda *_: conditioner(
        _dense(kernel_initializer={"class_name": "Lambda", "config": {}})
    ),
    "a compiled layer": lambda touched, module: conditioner(
        _dense() | {"compile_config": {"optimizer": "sgd", "loss": function("system", "os")}}
    ),
    "functions of a joint distribution": lambda *_: {
        "class": "tfd.JointDistributionCoroutine",
        "model": {"class": "Keras", "layer": function("loads", "pickle")},
    },
    "a function that splits arguments": lambda *_: (
        on_prior({"class": "tfb.Identity"})
        | {"kwargs_split_fn": {"class": "Keras", "layer": function("loads", "pickle")}}
    ),
    "a network of tfb": lambda *_: on_prior({"class": "tfb.MaskedAutoregressiveFlow", "shift_and_log_scale_fn": "x"}),
    "a pickle by a class that TFP registers with Keras": lambda touched, module: {
        "class": "DistributionLambda",
        **_distribution_lambda(touched),
    },
    "a pickle by a layer that TFP registers": lambda touched, module: conditioner(
        keras("DistributionLambda", None, name="DistributionLambda", **_distribution_lambda(touched))
    ),
    "a pickle by a layer's second name": lambda touched, module: conditioner(
        keras("Dense", name="DistributionLambda", **_distribution_lambda(touched))
    ),
    "a symbolic tensor of a new module": lambda touched, module: conditioner(keras("__keras_tensor__", module)),
    "a symbolic tensor that is a function": lambda *_: conditioner(keras("__keras_tensor__", "subprocess", name="run")),
    "a class of the process": lambda *_: on_prior({"class": "tests.saving.distributions.Scaling", "scale": 2.0}),
    "a class of Python": lambda *_: {"class": "builtins.open", "file": "x", "mode": "w"},
}
TAKES_MEMORY = {
    "16 scales": lambda *_: flow(num_scales=16),
    "32 scales": lambda *_: flow(num_scales=32),
    "a thousand million blocks": lambda *_: flow(num_scales=1, width=1, residual_blocks=10**9),
    "a million million hidden channels": lambda *_: flow(num_scales=1, width=10**12),
    "a million million channels": lambda *_: flow(channels=10**12),
    "a number of 400 digits": lambda *_: flow(width=10**399),
    "a long conditioning": lambda *_: flow(num_scales=1, conditioning_size=10**12),
    "a large batch norm": lambda *_: on_prior({"class": "tfp_realnvp.FlowBatchNorm", "channels": 10**12}),
    "a large variable": lambda *_: on_prior({"class": "tfb.Scale", "scale": variable(*[10**6, 10**6])}),
    "variables that multiply": lambda *_: _transformed(
        {"variable": variable(30_000, 1)}, {"class": "tfb.Scale", "scale": variable(1, 30_000)}
    ),
    "a variable that is enlarged": lambda *_: _transformed(
        {"variable": variable(1, 1, 1, 1)},
        conditioner(keras("UpSampling2D", size=[25_000, 25_000]))["bijector"],
    ),
    "arguments that broadcast": lambda *_: {
        "class": "tfd.Uniform",
        "low": [[0.0]] * 5000,
        "high": [[1.0] * 5000],
        "validate_args": True,
    },
    "a slow initializer": lambda *_: conditioner(_dense(6000, kernel_initializer="Orthogonal")),
    "a large Keras layer": lambda *_: conditioner(_dense(10**12)),
    "a large permutation": lambda *_: on_prior({"class": "tfb.Transpose", "rightmost_transposed_ndims": 10**11}),
}
LEADS_NOWHERE = {
    "nothing": lambda *_: None,
    "a number": lambda *_: 3,
    "a list": lambda *_: [flow()],
    "no class": lambda *_: {"loc": 0.0},
    "a class that is a number": lambda *_: {"class": 3},
    "a class that is a list": lambda *_: {"class": ["tfd.Normal"]},
    "an argument that this version lacks": lambda *_: flow(attention=True),
    "an argument of base classes": lambda *_: flow(parameters={"channels": 3}),
    "an argument that is missing": lambda *_: on_prior({"class": "tfp_realnvp.AffineCoupling"}),
    "an argument of another type": lambda *_: flow(width="32"),
    "not a number": lambda *_: flow(levels=float("nan")),
    "parts that are a text": lambda *_: on_prior(
        {"class": "tfp_realnvp.Composition", "parts": "ab", "name": "c", "dtype": None}
    ),
    "a bijector that is a text": lambda *_: on_prior("tfb.Identity"),
    "a variable without a shape": lambda *_: on_prior({"class": "tfb.Scale", "scale": {"class": "Variable"}}),
    "a variable of a negative shape": lambda *_: on_prior({"class": "tfb.Scale", "scale": variable(*[-1])}),
    "a variable of 300 axes": lambda *_: on_prior({"class": "tfb.Scale", "scale": variable(*[1] * 300)}),
    "a tensor of handles": lambda *_: on_prior(
        {"class": "tfb.Scale", "scale": {"class": "Tensor", "dtype": "resource", "value": 1}}
    ),
    "a tensor of strings": lambda *_: on_prior(
        {"class": "tfb.Scale", "scale": {"class": "Tensor", "dtype": "string", "value": ["a"]}}
    ),
    "a ragged tensor": lambda *_: on_prior(
        {"class": "tfb.Scale", "scale": {"class": "Tensor", "dtype": "float32", "value": [[1.0], [1.0, 2.0]]}}
    ),
    "a distribution that is not over images": lambda *_: {"class": "tfd.Normal", "loc": 0.0, "scale": 1.0},
    "a layer without a description": lambda *_: on_prior({"class": "Keras"}),
    "a layer of another type": lambda *_: conditioner(_dense("two")),
    "a layer that is a text": lambda *_: conditioner("Dense"),
    "layers that wait for each other": lambda *_: conditioner(_functional(a="b", b="a")),
    "layers that wait for one without an input": lambda *_: conditioner(_functional(a=None, b="a")),
    "layers that wait for one that is missing": lambda *_: conditioner(_functional(a=None, b="c")),
    "an argument nested 300 times": lambda *_: {"class": "tfd.Normal", "loc": _deep(300), "scale": 1.0},
    "a shape nested 300 times": lambda *_: {
        "class": "tfd.Sample",
        "distribution": {"class": "tfd.Normal", "loc": 0.0, "scale": 1.0},
        "sample_shape": _deep(300),
    },
    "an initializer nested 300 times": lambda *_: conditioner(
        _dense(kernel_initializer=keras("Constant", "keras.initializers", value=_deep(300)))
    ),
    "a tensor nested 300 times": lambda *_: on_prior(
        {"class": "tfb.Scale", "scale": {"class": "Tensor", "dtype": "float32", "value": _deep(300)}}
    ),
    "lists nested 800 times": lambda *_: flow(width=_deep(800)),
}
DESCRIPTIONS = RUNS_CODE | TAKES_MEMORY | LEADS_NOWHERE

FILES = {
    "cut short": b'{"format": 3, "distribution": {"cla',
    "empty": b"",
    "no object": b"[]",
    "nested 100,000 times": b"[" * 100_000,
    "objects nested 100,000 times": b'{"distribution":' * 100_000,
    "no UTF-8": b'{"format": 3, "distribution": "\xff"}',
    "UTF-16": '{"format": 3}'.encode("utf-16"),
    "a number of 10,000 digits": b'{"format": 3, "distribution": ' + b"1" * 10_000 + b"}",
    "no format": b'{"distribution": {}}',
    "format that is an object": b'{"format": {"class": "tfd.Normal"}}',
    "versions that are a number": b'{"format": 3, "versions": 3, "distribution": {}}',
    "versions that are a list": b'{"format": 3, "versions": ["1.0"], "distribution": {}}',
    "no distribution": b'{"format": 3, "versions": {}}',
}

CONFIGS = {
    "no distribution": {"distribution": None},
    "an unknown argument": {"callbacks": []},
    "levels that are a text": {"levels": "256"},
    "a seed that is too large": {"seed": 2**70},
    "a seed that is an object": {"seed": {"class_name": "Adam"}},
    "averages of another type": {"averaging": "0.5"},
    "versions that are a list": {"versions": ["x"], "levels": 1},
}

COMPILE_CONFIGS = {
    "an optimizer by module": {"optimizer": function("system", "os")},
    "an optimizer of a new module": {"optimizer": keras("Anything", "hostile_module")},
    "a schedule by module": {"optimizer": keras("Adam", "keras.optimizers", learning_rate=function("loads", "pickle"))},
    "a lambda": {"optimizer": {"class_name": "__lambda__", "config": {"value": ["", None, None]}}},
    "a loss scale of nothing": {
        "optimizer": keras("LossScaleOptimizerV3", "tf_keras.src.mixed_precision.loss_scale_optimizer")
    },
    "a loss by module": {"optimizer": None, "loss": function("loads", "pickle")},
    "an unknown argument": {"optimizer": None, "anything": 1},
    "an optimizer that is a number": {"optimizer": 3},
    "steps that are a text": {"optimizer": None, "steps_per_execution": "many"},
}
