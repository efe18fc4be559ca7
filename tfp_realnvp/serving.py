"""SavedModels that score, sample, encode and decode, for a process that has TensorFlow and nothing else."""

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from tfp_realnvp.signatures import Signatures
from tfp_realnvp.version_folders import new_version, versions

MODEL_CARD = "MODEL_CARD.md"
_WARMUP = "assets.extra/tf_serving_warmup_requests"


def export_saved_model(distribution, directory, *, levels=None, max_values=2**22, model_card=None):
    """Writes a SavedModel for TensorFlow Serving, `tf.saved_model.load` and `saved_model_cli`.

    Signatures:
      serving_default: pixels float32 [N, H, W, C], seed, dequantize -> log_prob [N], nats, and bits_per_dim [N].
      serving_uint8: the same for pixels in uint8 (serving_uint16 above 256 levels), to which noise is always added.
      score: pixels alone, as by serving_default with its defaults: for clients that know no defaults, and in the rows
        ("instances") of TensorFlow Serving's REST API, where an input has a value for each image.
      sample: count, seed, temperature, height, width -> pixels [count, height, width, C], whole numbers.
      encode: as serving_default -> latents [N, H, W, C].
      decode: latents [N, H, W, C] -> pixels [N, H, W, C], whole numbers.
      units: nothing -> the unit of every input and output, which `saved_model_cli show` prints as its outputs' names.

    Pixels lie in [0, levels). They are whole numbers, to which uniform noise in [0, 1) is added, or, with
    dequantize=False, real ones that are taken as they are. `conditioning` [N, K] is an input more where the flow wants
    it. Noise is a function of `seed`, two int32: the same request gives the same answer. Height and width are free for
    a `RealNVPImage` on a `tfd.Sample` of scalars, else fixed. A distribution without a bijector has no temperature,
    `encode` and `decode`.

    All inputs but pixels, latents, count and conditioning have defaults. TensorFlow Serving and `saved_model_cli run`
    fill them in, and so do the methods of `model = tf.saved_model.load(...)`, e.g. `model.sample(count=4)`; what
    `model.signatures` holds wants all inputs. Only the latter may be called from several threads: after a call with
    wrong arguments a method keeps its lock (TensorFlow 2.21), and other threads wait for ever.

    No answer holds a NaN. A wrong request is answered by `tf.errors.InvalidArgumentError`, which names the input; or,
    where TensorFlow compares it with the signature, by TypeError or ValueError.

    >>> flow = RealNVPImage(channels=1, num_scales=1, width=4, residual_blocks=0)
    >>> prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[4, 4, 1])
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     model = tf.saved_model.load(export_saved_model(tfd.TransformedDistribution(prior, flow), directory))
    >>> model.sample(count=2)["pixels"].shape
    TensorShape([2, 4, 4, 1])

    Args:
      distribution: `tfd.Distribution` with a static event shape [H, W, C]; its `log_prob` is of pixels in [0, levels).
      directory: path; the model goes to DIRECTORY/N, N one above all versions there, whole or not at all.
      levels: Python int, how many values a pixel can have. Default: that of the flow's `PixelLogit`, else 256.
      max_values: Python int; a request for more than so many values N * H * W * C is refused, so that none takes all
        of the server's memory. The paper's 64-pixel network takes about 1.8 kB for one.
      model_card: str, Markdown: what a user must know of data, quality and limits; written to
        DIRECTORY/N/MODEL_CARD.md, followed by the signatures.

    Returns:
      str, DIRECTORY/N.

    Raises:
      TypeError, ValueError: for a distribution that is not one over images, or with a variable that is not finite, or a
        wrong argument.
      OSError: if nothing can be written there; what was there is unchanged.
    """
    signatures = Signatures(distribution, levels=levels, max_values=max_values)
    with new_version(directory, variables_size(distribution)) as folder:
        write_saved_model(signatures, folder, model_card)
    return str(versions(directory)[-1])


def variables_size(distribution):
    """Bytes of all variables."""
    return sum(v.shape.num_elements() * v.dtype.size for v in distribution.variables)


def write_saved_model(signatures, folder, model_card=None):
    """Writes everything of an export to `folder`, a `pathlib.Path`."""
    functions = {name: signature.function for name, signature in signatures.table.items()}
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(signatures, str(folder), signatures=functions, options=options)
    warmup = folder / _WARMUP
    warmup.parent.mkdir()
    with tf.io.TFRecordWriter(str(warmup)) as writer:
        for name, signature in signatures.table.items():
            writer.write(_request(name, signature, signatures.distribution.event_shape).SerializeToString())
    written = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    card = _card(signatures, written.meta_graphs[0].signature_def, model_card)
    (folder / MODEL_CARD).write_text(card, encoding="utf-8")


def _request(name, signature, event_shape):
    """A request for one image, for TensorFlow Serving to try a model with before clients do."""
    sizes = [1, *event_shape]
    request = predict_pb2.PredictRequest()
    request.model_spec.signature_name = name
    for key, entry in signature.inputs.items():
        shape = [size if given is None else given for size, given in zip(sizes, entry.spec.shape, strict=False)]
        value = tf.ones(shape, entry.spec.dtype) if entry.default is None else entry.default
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))


def _card(signatures, written, model_card):
    """The model card: what the caller says, then the signatures; of `written`, since outputs are known once traced."""
    said = model_card or "# A model of images\n\nData, quality and intended use were not stated when it was exported.\n"
    lines = [said.rstrip(), "", "## Signatures", ""]
    lines += ["| signature | | name | dtype, shape | unit | default |", "| --- | --- | --- | --- | --- | --- |"]
    for name, signature in signatures.table.items():
        for key, entry in signature.inputs.items():
            form = f"{entry.spec.dtype.name} {entry.spec.shape}"
            default = "" if entry.default is None else entry.default.numpy().tolist()
            lines.append(f"| {name} | in | {key} | {form} | {entry.meaning} | {default} |")
        for key, unit in signature.outputs.items():
            output = written[name].outputs[key]
            form = f"{tf.as_dtype(output.dtype).name} {tf.TensorShape(output.tensor_shape)}"
            lines.append(f"| {name} | out | {key} | {form} | {unit} | |")
    return "\n".join(lines) + "\n"
