"""SavedModels that score, sample, encode and decode, for a process that has TensorFlow and nothing else."""

import importlib.util
import pathlib
import warnings
from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.core.protobuf import saved_model_pb2

from tfp_realnvp.saving.signatures import MAX_VALUES, Signature, Signatures
from tfp_realnvp.saving.version_folders import new_version, version_folders

MODEL_CARD = "MODEL_CARD.md"
_WARMUP = "assets.extra/tf_serving_warmup_requests"
_NO_WARMUP = (
    "The export has no warm-up file for TensorFlow Serving, since tensorflow_serving is not installed: install it by "
    '`pip install "tfp_realnvp[serving]"` if the first requests must be as fast as later ones.'
)


def export_saved_model(
    distribution: tfp.distributions.Distribution,
    directory: Any,
    *,
    levels: int | None = None,
    max_values: int = MAX_VALUES,
    model_card: str | None = None,
) -> str:
    """Writes a SavedModel for TensorFlow Serving, `tf.saved_model.load` and `saved_model_cli`.

    Signatures:
      serving_default: pixels float32 [N, H, W, C], seed, dequantize -> log_prob [N], nats, and bits_per_dim [N].
      serving_uint8: the same for pixels in uint8 (serving_uint16 above 256 levels), to which noise is always added.
      score: pixels alone, as serving_default with its defaults. It is for clients that know no defaults, and for the
        rows ("instances") of TensorFlow Serving's REST API, where every input has a value for each image.
      sample: count, seed, temperature, height, width -> pixels [count, height, width, C], whole numbers.
      encode: as serving_default -> latents [N, H, W, C].
      decode: latents [N, H, W, C] -> pixels [N, H, W, C], whole numbers.
      units: nothing -> the unit of every input and output, which `saved_model_cli show` prints as its outputs' names.

    Pixels lie in [0, levels). They are whole numbers, to which uniform noise in [0, 1) is added. With dequantize=False
    they are real numbers and taken as they are. A conditional flow has one more input, `conditioning` [N, K]. Noise is
    a function of `seed`, two int32: the same request gives the same answer. Height and width are free for a
    `RealNVPImage` on a `tfd.Sample` of scalars, and fixed for other distributions. A distribution without a bijector
    has no temperature, no `encode` and no `decode`.

    All inputs but pixels, latents, count and conditioning have defaults. TensorFlow Serving and `saved_model_cli run`
    fill them in, and so do the methods of `model = tf.saved_model.load(...)`, e.g. `model.sample(count=4)`; the
    functions in `model.signatures` want all inputs. Only these functions may be called from several threads: after a
    call with wrong arguments a method keeps its lock (TensorFlow 2.21), and other threads wait for ever.

    No answer holds a NaN. A wrong request raises `tf.errors.InvalidArgumentError`, which names the input, or TypeError
    or ValueError where TensorFlow compares the request with the signature.

    With `pip install "tfp_realnvp[serving]"` the export has a warm-up file, by which TensorFlow Serving tries each
    signature before clients do. Without it the export has none; a warning and the model card say so.

    >>> flow = RealNVPImage(channels=1, num_scales=1, width=4, residual_blocks=0)
    >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[4, 4, 1])
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     model = tf.saved_model.load(export_saved_model(tfd.TransformedDistribution(prior, flow), directory))
    >>> model.sample(count=2)["pixels"].shape
    TensorShape([2, 4, 4, 1])

    Args:
      distribution: `tfd.Distribution` with a static event shape [H, W, C]; its `log_prob` is of pixels in [0, levels).
      directory: path; the model appears as DIRECTORY/N, whole or not at all, N one above all versions there.
      levels: Python int, how many values a pixel can have. Default: that of the flow's `PixelLogit`, else 256.
      max_values: Python int; a request for more values N * H * W * C is refused, so that no request takes all of the
        server's memory. The default takes less than 1 GiB: the paper's 64-pixel network takes about 1.8 kB for one
        value. Requests at once take as much each.
      model_card: str, Markdown: what a user must know of data, quality and limits. It is written to
        DIRECTORY/N/MODEL_CARD.md, before a table of the signatures.

    Returns:
      str, DIRECTORY/N.

    Raises:
      TypeError, ValueError: for a distribution that is not one over images, or with a variable that is not finite, or a
        wrong argument.
      OSError: if nothing can be written there; what was there is unchanged.
    """
    signatures = Signatures(distribution, levels=levels, max_values=max_values)
    if not _can_write_warmup():
        warnings.warn(_NO_WARMUP, stacklevel=2)
    with new_version(directory, num_variable_bytes(distribution)) as folder:
        write_saved_model(signatures, folder, model_card)
    return str(version_folders(directory)[-1])


def num_variable_bytes(distribution: tfp.distributions.Distribution) -> int:
    """Returns the bytes of all variables."""
    return sum(v.shape.num_elements() * v.dtype.size for v in distribution.variables)


def write_saved_model(signatures: Signatures, folder: pathlib.Path, model_card: str | None = None) -> None:
    """Writes everything of an export to `folder`."""
    functions = {name: signature.function for name, signature in signatures.table.items()}
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(signatures, str(folder), signatures=functions, options=options)
    if _can_write_warmup():
        _write_warmup(signatures, folder / _WARMUP)
    written = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    card = _card(signatures, written.meta_graphs[0].signature_def, model_card)
    (folder / MODEL_CARD).write_text(card, encoding="utf-8")


def _can_write_warmup() -> bool:
    return importlib.util.find_spec("tensorflow_serving") is not None


def _write_warmup(signatures: Signatures, path: pathlib.Path) -> None:
    """Writes a request for one image to each signature, by which TensorFlow Serving tries a model before clients do."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2  # Of the extra `serving`.

    path.parent.mkdir()
    sizes = [1, *signatures.distribution.event_shape]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, signature in signatures.table.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.signature_name = name
            for key, entry in signature.inputs.items():
                value = entry.default
                if value is None:
                    given = zip(sizes, entry.spec.shape, strict=False)
                    value = tf.ones([size if known is None else known for size, known in given], entry.spec.dtype)
                request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())


def _card(signatures: Signatures, written: Any, model_card: str | None) -> str:
    """Returns the model card: the caller's text, then a table of the signatures.

    Args:
      signatures: those that were exported.
      written: the signatures in the file, by name; the shapes of outputs are known only once they are traced.
      model_card: the caller's text.
    """
    text = model_card or "# A model of images\n\nData, quality and intended use were not stated when it was exported.\n"
    lines = [text.rstrip(), "", "## Signatures", ""]
    lines += ["| signature | | name | dtype, shape | unit | default |", "| --- | --- | --- | --- | --- | --- |"]
    for name, signature in signatures.table.items():
        lines += _rows(name, signature, written[name].outputs)
    if not _can_write_warmup():
        lines += ["", _NO_WARMUP]
    return "\n".join(lines) + "\n"


def _rows(name: str, signature: Signature, outputs: Any) -> list[str]:
    """Returns the rows of one signature in the model card's table."""
    rows = []
    for key, entry in signature.inputs.items():
        form = f"{entry.spec.dtype.name} {entry.spec.shape}"
        default = "" if entry.default is None else entry.default.numpy().tolist()
        rows.append(f"| {name} | in | {key} | {form} | {entry.meaning} | {default} |")
    for key, unit in signature.outputs.items():
        form = f"{tf.as_dtype(outputs[key].dtype).name} {tf.TensorShape(outputs[key].tensor_shape)}"
        rows.append(f"| {name} | out | {key} | {form} | {unit} | |")
    return rows
