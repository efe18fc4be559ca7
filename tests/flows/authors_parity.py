"""Compares the `released` flow with numbers recorded from the authors' program.

    python -m tests.flows.authors_parity FILE.npz

The program builds the flow from the file's meta/ and loads its variables. For every recorded quantity it prints the
largest error relative to the largest entry of its array. It exits with 1 if an error is above 1e-4, or that of a
gradient above 1e-3.

Where exact arithmetic gives zero, float32 gives noise. This is so for gradients of biases that a batch norm removes,
and for running means of inputs that were normalised before. There the denominator has a floor, which is 1e-3 of the
largest gradient of all, and 1e-2 for running means.
"""

import pathlib
import sys

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_realnvp

TOLERANCE = 1e-4
GRADIENT_TOLERANCE = 1e-3
L2 = 5e-5

_MODULES = {
    "bn_in": "network/norm_in",
    "bn_out": "output_norm",
    "h_in": "network/residual/conv_in",
    "skip_in": "network/residual/tap_in",
    "bn_pre_out": "network/residual/norm_out",
    "out": "network/residual/conv_out",
}
_BLOCK_MODULES = {"bn_in": "norm_0", "h_0": "conv_0", "bn_0": "norm_1", "out": "conv_1"}
_LEAVES = {
    "weights": "filters",
    "biases": "bias",
    "magnitude": "gain",
    "beta": "offset",
    "mean": "statistics/mean",
    "var": "statistics/variance",
}


def our_name(theirs):
    """Our name, below that of the flow, for a variable of the released program."""
    scale, coupling, *rest = theirs.split("/")
    k = int(coupling.removeprefix("coupling_"))
    path = [scale.replace("scale", "level"), f"checkerboard_{k}" if k < 4 else f"channel_{k - 4}"]
    if rest[-1] in ("rescaling_scale", "scale"):
        return "/".join([*path, "coupling/log_scale_gain"])
    module, leaf = [m for m in rest[:-1] if m != "resnet"], _LEAVES[rest[-1]]
    if module[0].startswith("block_"):
        path.append(f"network/residual/{module[0]}/{_BLOCK_MODULES[module[1]]}")
    elif module[0].startswith("skip_") and module[0] != "skip_in":
        path.append(f"network/residual/tap_{module[0].removeprefix('skip_')}")
    else:
        path.append(_MODULES[module[0]])
    return "/".join([*path, leaf])


def part_of(theirs, variable):
    """The entries of our variable that theirs corresponds to.

    Our channel couplings keep statistics for all channels, and theirs for the half that changes.
    """
    coupling = int(theirs.split("/")[1].removeprefix("coupling_"))
    if "bn_out" not in theirs or coupling < 4:
        return slice(None)
    return tfp_realnvp.ChannelHalves((coupling - 4) % 2).changed_channels(variable.shape[0])


class Comparison:
    """Prints the largest relative error of each quantity, and keeps the names of those that failed."""

    def __init__(self):
        self.failed = []

    def __call__(self, name, ours, theirs, tolerance=TOLERANCE, floor=0.0):
        ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        if ours.shape != theirs.shape:
            raise ValueError(f"{name}: our shape {ours.shape} is not the recorded {theirs.shape}")
        error = np.max(np.abs(ours - theirs)) / max(np.max(np.abs(theirs)), floor)
        good = bool(error <= tolerance)  # This is false for NaN.
        if not good:
            self.failed.append(name)
        print(f"{'ok  ' if good else 'FAIL'} {error:.1e} (at most {tolerance:.0e})  {name}")


def load(recorded, **options):
    """Returns the released flow with the recorded variables, its distribution, and {their name: our variable}."""
    flow = tfp_realnvp.RealNVPImage(
        channels=recorded["pixels"].shape[-1],
        num_scales=int(recorded["meta/num_scales"]),
        width=int(recorded["meta/base_width"]),
        residual_blocks=int(recorded["meta/residual_blocks"]),
        preset="released",
        **options,
    )
    ours = {v.name.removeprefix(f"{flow.name}/").removesuffix(":0"): v for v in flow.variables}
    pairs = {}
    for key, value in recorded.items():
        theirs = key.removeprefix("variable/")
        if theirs == key or theirs.endswith("/step"):  # This counts updates, and nothing reads it.
            continue
        variable = pairs[theirs] = ours.pop(our_name(theirs))
        new = np.array(variable.numpy())
        new[part_of(theirs, variable) if new.ndim else ...] = value
        variable.assign(new)
    if ours:
        raise ValueError(f"variables that the file does not record: {sorted(ours)}")
    prior = tfp.distributions.Sample(tfp.distributions.Normal(0.0, 1.0), sample_shape=recorded["pixels"].shape[1:])
    return flow, tfp.distributions.TransformedDistribution(prior, flow), pairs


def compare(path, transform=lambda function: function, **options):
    """Prints all comparisons with the file at `path`; returns the names of those that failed.

    Args:
      path: The path of a recorded file.
      transform: A function that is applied to the functions that compute, e.g. `tf.function`.
      **options: Options of `RealNVPImage` that must change no number.
    """
    with np.load(path) as file:
        recorded = dict(file)
    flow, distribution, pairs = load(recorded, **options)
    check = Comparison()
    pixels = tf.constant(recorded["pixels"] + recorded["noise"], tf.float32)
    event_shape = pixels.shape[1:]
    to_unit = event_shape.num_elements() * np.log(256.0)  # Their likelihood is that of pixels / 256.
    logit, level = flow.parts
    gradients = {key.removeprefix("gradient/"): value for key, value in recorded.items() if key.startswith("gradient/")}

    def evaluation():
        y = logit.inverse(pixels)
        log_prob = distribution.log_prob(pixels)
        return {
            "y": y,
            "preprocess_log_det": logit.inverse_log_det_jacobian(pixels, 3) + to_unit,
            "eval_z": flow.inverse(pixels),
            "eval_log_det": level.inverse_log_det_jacobian(y, 3),
            "eval_log_likelihood": log_prob + to_unit,
            "eval_bits_per_dim": tf.reduce_mean(tfp_realnvp.bits_per_dim(log_prob, event_shape)),
            "decode_y": level.forward(tf.constant(recorded["decode_z"])),
        }

    def training():
        with tf.GradientTape() as tape:
            z = flow.inverse(pixels, training=True)
            log_det = flow.inverse_log_det_jacobian(pixels, 3, training=True)
            log_prob = distribution.distribution.log_prob(z) + log_det
            l2_sum = tf.add_n([tf.reduce_sum(v**2) for v in flow.regularized_variables])
            loss = -tf.reduce_mean(log_prob + to_unit) + L2 * l2_sum
        values = {
            "train_z": z,
            "train_log_det": log_det - logit.inverse_log_det_jacobian(pixels, 3),
            "train_log_likelihood": log_prob + to_unit,
            "train_bits_per_dim": tf.reduce_mean(tfp_realnvp.bits_per_dim(log_prob, event_shape)),
            "train_l2_sum": l2_sum,
        }
        return values, tape.gradient(loss, [pairs[name] for name in gradients])

    for name, value in transform(evaluation)().items():
        check(name, value, recorded[name])
    values, ours = transform(training)()
    for name, value in values.items():
        check(name, value, recorded[name])
    floor = 1e-3 * max(np.max(np.abs(g)) for g in gradients.values())
    for (name, theirs), gradient in zip(gradients.items(), ours, strict=True):
        check(f"gradient/{name}", gradient, theirs, GRADIENT_TOLERANCE, floor)
    for key, value in recorded.items():
        name = key.removeprefix("after_train_pass/")
        if name != key and not name.endswith("/step"):
            variable = pairs[name]
            after = variable.numpy()[part_of(name, variable)]
            check(key, after, value, floor=1e-2 if name.endswith("/mean") else 0.0)
    return check.failed


def main(argv):
    if len(argv) != 2 or not pathlib.Path(argv[1]).is_file():
        print(__doc__, file=sys.stderr)
        return 2
    failed = compare(argv[1])
    print(f"{len(failed)} failed" if failed else "all within tolerance")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
