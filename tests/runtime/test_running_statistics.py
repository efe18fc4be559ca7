"""What laws can't know: values computed by hand or in NumPy, and the options of each part."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_realnvp import (
    AffineCoupling,
    ChannelHalves,
    Checkerboard,
    CouplingNetwork,
    FlowBatchNorm,
    PixelLogit,
    RealNVPImage,
    RunningStatistics,
    Squeeze,
    bits_per_dim,
    dequantize,
    quantize,
)
from tfp_realnvp.residual_network import BatchNorm, WeightNormConv

tfd = tfp.distributions


def small_flow(channels=1, num_scales=2, width=2, residual_blocks=1, **options):
    return RealNVPImage(channels, num_scales=num_scales, width=width, residual_blocks=residual_blocks, **options)


def distribution(flow, shape):
    return tfd.TransformedDistribution(tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=shape), flow)


def pixels(*shape, seed=0):
    return tf.constant(np.random.RandomState(seed).uniform(0, 256, shape), tf.float32)


def running(module):
    """All running means and all running variances below a module, [2, N]."""
    parts = [m for m in module.submodules if isinstance(m, RunningStatistics)]
    return np.concatenate([[m.mean.numpy(), m.variance.numpy()] for m in parts], axis=1)


# Masks and squeezes


def test_masks():
    even = [[1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1]]
    np.testing.assert_array_equal(Checkerboard(0)((4, 4, 3))[..., 0], even)
    np.testing.assert_array_equal(Checkerboard(1)((4, 4, 3))[..., 0], 1 - np.array(even))
    np.testing.assert_array_equal(ChannelHalves(0)((4, 4, 4)), [1, 1, 0, 0])
    np.testing.assert_array_equal(ChannelHalves(1)((4, 4, 5)), [0, 0, 1, 1, 1])
    with pytest.raises(ValueError, match="parity"):
        Checkerboard(2)


def test_channel_major_squeeze():
    image = np.arange(32.0).reshape(4, 4, 2)
    squeezed = Squeeze().forward(image).numpy()
    for c, dy, dx in np.ndindex(2, 2, 2):
        np.testing.assert_array_equal(squeezed[..., c * 4 + 2 * dy + dx], image[dy::2, dx::2, c])


def test_ordered_squeeze():
    image = np.arange(32.0).reshape(4, 4, 2)
    top_left, top_right, bottom_left, bottom_right = (image[dy::2, dx::2] for dy, dx in np.ndindex(2, 2))
    expected = np.concatenate([top_left, bottom_right, top_right, bottom_left], -1)
    np.testing.assert_array_equal(Squeeze(ordered=True).forward(image), expected)


def test_factored_out_channels_are_the_odd_diagonal():
    # With two scales, the second one never sees the pixels with row + column odd: these have latents already.
    flow = small_flow(num_scales=2, batch_norm=False)
    before = flow.inverse(pixels(1, 4, 4, 1)).numpy()
    for v in flow.variables:
        if "/level_1/" in v.name:
            v.assign(v + 0.5)
    changed = flow.inverse(pixels(1, 4, 4, 1)).numpy() != before
    np.testing.assert_array_equal(changed[0], Checkerboard(0)((4, 4, 1)))


# Couplings


@pytest.mark.parametrize("shift_first", [False, True])
@pytest.mark.parametrize("mask", [Checkerboard(0), Checkerboard(1), ChannelHalves(0), ChannelHalves(1)])
def test_coupling_formula(mask, shift_first):
    x = np.random.RandomState(0).randn(2, 4, 4, 2)
    coupling = AffineCoupling(
        mask, lambda h: tf.concat([h + 2, h - 3], -1), shift_first=shift_first, gain=0.7, offset=True, dtype=tf.float64
    )
    coupling.log_scale_offset.assign(0.2)
    b = mask((4, 4, 2), tf.float64).numpy() * np.ones(x.shape)
    t, s = b * x + 2, 0.7 * np.tanh(b * x - 3) + 0.2
    changed = (x + t) * np.exp(s) if shift_first else x * np.exp(s) + t
    y = coupling.inverse(x).numpy()
    np.testing.assert_allclose(y, b * x + (1 - b) * changed, rtol=1e-12)
    np.testing.assert_allclose(coupling.inverse_log_det_jacobian(x, 3), np.sum((1 - b) * s, (1, 2, 3)), rtol=1e-12)
    np.testing.assert_array_equal(y[b == 1], x[b == 1])  # The conditioning part, to the bit.
    np.testing.assert_array_equal(coupling.forward(x).numpy()[b == 1], x[b == 1])


def test_conditioner_of_the_wrong_kind():
    with pytest.raises(TypeError, match="conditioner"):
        AffineCoupling(Checkerboard(), 3)
    with pytest.raises(ValueError, match="last axis must be 4"):
        AffineCoupling(Checkerboard(), lambda h: h).inverse(tf.zeros([2, 2, 2]))


# Pixels


@pytest.mark.parametrize("squash", ["paper", "released"])
def test_pixel_logit_formula(squash):
    x = np.random.RandomState(0).uniform(0, 256, (3, 4, 4, 1))
    slope = {"paper": 0.95, "released": 0.9}[squash]
    p = 0.05 + slope * x / 256
    logit = PixelLogit(256, squash)
    np.testing.assert_allclose(logit.inverse(x), np.log(p) - np.log(1 - p), rtol=1e-12)
    # Both signs are seen here: with one of them wrong, the density of a picture and of its negative are exchanged.
    expected = np.sum(np.log(slope / 256) - np.log(p) - np.log(1 - p), (1, 2, 3))
    np.testing.assert_allclose(logit.inverse_log_det_jacobian(x, 3), expected, rtol=1e-12)


@pytest.mark.parametrize("squash", ["paper", "released"])
@pytest.mark.parametrize("levels", [256, 17, 2])
def test_pixel_logit_is_finite_at_the_ends(squash, levels):
    ends = tf.constant([0.0, np.nextafter(np.float32(levels), np.float32(0))])
    logit = PixelLogit(levels, squash)
    y = logit.inverse(ends)
    assert np.all(np.isfinite(y))
    assert np.all(np.isfinite(logit.inverse_log_det_jacobian(ends, 0)))
    np.testing.assert_allclose(y[0], np.log(0.05 / 0.95), rtol=1e-5)
    back = logit.forward(tf.identity(y))
    np.testing.assert_allclose(back, ends, rtol=1e-6, atol=1e-6 * levels)


@pytest.mark.parametrize("squash", ["paper", "released"])
def test_pixel_logit_outside_of_the_pixels(squash):
    # Samples land here; `log_prob` must know the latents that they came from, not those of the nearest pixel.
    logit = PixelLogit(256, squash)
    y = tf.constant([-12.0, -6.0, -3.0, 3.0, 6.0, 12.0], tf.float64)
    x = tf.identity(logit.forward(y))
    np.testing.assert_allclose(logit.inverse(x), y, rtol=1e-9)
    np.testing.assert_allclose(logit.inverse_log_det_jacobian(x, 0), -logit.forward_log_det_jacobian(y, 0), rtol=1e-9)


@pytest.mark.parametrize("squash", ["paper", "released"])
def test_pixel_logit_is_finite_for_all_samples(squash):
    logit = PixelLogit(256, squash)
    x = tf.identity(logit.forward(tf.constant([-80.0, -20.0, -17.0, 17.0, 20.0, 80.0])))
    assert np.all(np.isfinite(logit.inverse(x)))
    assert np.all(np.isfinite(logit.inverse_log_det_jacobian(x, 0)))


def test_value_and_log_det_belong_to_the_same_noise():
    # The change of variables, with the value and the log det of one call: a log det of other pixels breaks it.
    flow = small_flow(num_scales=1)
    prior = tfd.Sample(tfd.Normal(0.0, 1.0), sample_shape=[4, 4, 1])
    x = dequantize(np.full([2, 4, 4, 1], 100), seed=(1, 2))
    images = tfd.TransformedDistribution(prior, flow)
    np.testing.assert_array_equal(images.log_prob(x), images.log_prob(tf.identity(x)))
    by_hand = prior.log_prob(flow.inverse(x)) + flow.inverse_log_det_jacobian(x, 3)
    np.testing.assert_allclose(images.log_prob(x), by_hand, rtol=1e-6)


def test_samples_are_pixels():
    # An untrained flow with all couplings at the identity: latents near 0 are mid-grey, not 0 (the squash undone) ...
    flow = PixelLogit()
    np.testing.assert_allclose(flow.forward(tf.zeros([4])), 128.0)
    # ... and the logits of the darkest and the brightest pixel come back as these, not as 5 and 95 % of them.
    np.testing.assert_allclose(flow.forward(tf.math.log([0.05 / 0.95, 0.95 / 0.05])), [0, 256], atol=1e-3)


def test_dequantize():
    images = np.random.RandomState(0).randint(0, 256, (8, 4, 4, 1))
    noisy = dequantize(images, seed=(1, 2)).numpy()
    assert np.all((noisy >= images) & (noisy < images + 1))
    assert 0.4 < np.mean(noisy - images) < 0.6
    np.testing.assert_array_equal(dequantize(images, seed=(1, 2)), noisy)
    assert np.all(dequantize(images, seed=(1, 3)) != noisy)
    part = dequantize(images[2:5], seed=(1, 2), first_row=2, rows=8)
    np.testing.assert_array_equal(part, noisy[2:5])
    np.testing.assert_array_equal(quantize(noisy), images)
    assert quantize(noisy).dtype == tf.uint8
    assert quantize(noisy, 1024).dtype == tf.uint16
    np.testing.assert_array_equal(quantize(tf.constant([-2.0, 16.9, 17.0, 300.0]), 17), [0, 16, 16, 16])


@pytest.mark.parametrize("levels", [256, 17, 2])
def test_dequantized_stays_below_levels(levels, monkeypatch):
    # In float32, 255 + the last number below 1 is 256.
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda shape, seed: tf.fill(shape, np.float32(1 - 2**-24)))
    noisy = dequantize(np.full([2, 3], levels - 1), levels, seed=(1, 2))
    assert np.all(noisy < levels)
    np.testing.assert_array_equal(quantize(noisy, levels), levels - 1)


def test_bits_per_dim():
    shape = (4, 4, 3)
    dimensions = 48
    log_prob = tf.constant([-100.0, -250.0])  # Of pixels in [0, 256): that of pixels in [0, 1) is larger by D ln 256.
    nll_of_unit_pixels = -(log_prob + dimensions * np.log(256))
    expected = (nll_of_unit_pixels + dimensions * np.log(256)) / (dimensions * np.log(2))
    np.testing.assert_allclose(bits_per_dim(log_prob, shape), expected, rtol=1e-5)
    np.testing.assert_allclose(bits_per_dim(log_prob, tf.constant(shape)), expected, rtol=1e-5)
    # A uniform density over the 256 levels takes 8 bits.
    uniform = tfd.Independent(tfd.Uniform(tf.zeros(shape), 256.0), 3)
    np.testing.assert_allclose(bits_per_dim(uniform.log_prob(tf.ones(shape)), tf.TensorShape(shape)), 8, rtol=1e-6)


# Batch norm


def test_flow_batch_norm_of_the_batch():
    x = tf.constant(np.random.RandomState(0).randn(5, 4, 4, 2) + 3)  # A tensor, or the log det is a second update.
    b = Checkerboard(0)((4, 4, 1), tf.float64).numpy()
    mean, variance = np.mean(x * (1 - b), (0, 1, 2)), np.var(x * (1 - b), (0, 1, 2))  # The masked zeros count.
    norm = FlowBatchNorm(2, Checkerboard(0), dtype=tf.float64)
    y = norm.inverse(x, training=True)
    np.testing.assert_allclose(y, b * x + (1 - b) * (x - mean) / np.sqrt(variance + 1e-4), rtol=1e-12)
    log_det = -0.5 * 8 * np.sum(np.log(variance + 1e-4))
    np.testing.assert_allclose(norm.inverse_log_det_jacobian(x, 3, training=True), log_det, rtol=1e-12)
    running_mean, running_variance = norm.statistics.mean.numpy(), norm.statistics.variance.numpy()
    np.testing.assert_allclose(running_mean, 0.9 * 0 + 0.1 * mean, rtol=1e-12)
    np.testing.assert_allclose(running_variance, 0.9 * 1 + 0.1 * variance, rtol=1e-12)
    evaluated = b * x + (1 - b) * (x - running_mean) / np.sqrt(running_variance + 1e-4)
    np.testing.assert_allclose(norm.inverse(x), evaluated, rtol=1e-12)


@pytest.mark.parametrize("traced", [False, True])
def test_one_update_per_log_prob(traced):
    flow = small_flow()
    images = distribution(flow, [4, 4, 1])
    x = pixels(8, 4, 4, 1)

    def step(x):
        return images.log_prob(x, bijector_kwargs={"training": True})

    step = tf.function(step) if traced else step
    start = running(flow)
    step(tf.identity(x))
    first = running(flow)
    assert np.all(first[1] != start[1])  # Means of the channels that a coupling leaves alone stay 0.
    step(tf.identity(x))
    # Both updates see the same batch: the second moves by 0.9 of the first. Two a call would make it 0.81.
    np.testing.assert_allclose(running(flow) - first, 0.9 * (first - start), rtol=1e-3, atol=1e-6)
    second = running(flow)
    images.log_prob(x)
    np.testing.assert_array_equal(running(flow), second)


@pytest.mark.parametrize("traced", [False, True])
def test_sampling_changes_no_variable(traced):
    flow = small_flow()
    images = distribution(flow, [4, 4, 1])
    images.log_prob(pixels(8, 4, 4, 1), bijector_kwargs={"training": True})
    before = [v.numpy() for v in flow.variables]

    def samples(training):
        return images.sample(3, seed=(1, 2), bijector_kwargs={"training": training})

    samples = tf.function(samples) if traced else samples
    assert np.max(np.abs(samples(True) - samples(False))) > 1e-3  # The networks did use the batch's statistics.
    for v, old in zip(flow.variables, before, strict=True):
        np.testing.assert_array_equal(v, old, err_msg=v.name)


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_running_average_of_appendix_e(momentum):
    random = np.random.RandomState(0)
    x, weights = random.randn(2, 2, 3, 1) + 1, random.randn(2, 2, 3, 1)
    old_mean, old_variance = 0.4, 1.7
    norm = FlowBatchNorm(1, momentum=momentum, running_average=True, dtype=tf.float64)
    norm.statistics.mean.assign([old_mean])
    norm.statistics.variance.assign([old_variance])
    point = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(point)
        y = norm.inverse(point, training=True)
        loss = tf.reduce_sum(weights * y)
    share = 1 - momentum
    mean = momentum * old_mean + share * np.mean(x)
    variance = momentum * old_variance + share * np.var(x)
    scale = (variance + 1e-4) ** -0.5
    np.testing.assert_allclose(y, (x - mean) * scale, rtol=1e-12)
    # By hand: d mean / dx = share / n, d variance / dx = share * 2 (x - batch mean) / n, and none by way of the past.
    through_variance = np.sum(weights * (x - mean)) * -0.5 * scale**3 * share * 2 * (x - np.mean(x)) / x.size
    expected = scale * (weights - share * np.mean(weights)) + through_variance
    np.testing.assert_allclose(tape.gradient(loss, point), expected, rtol=1e-10)
    np.testing.assert_allclose(norm.statistics.mean, [mean], rtol=1e-12)
    np.testing.assert_allclose(norm.statistics.variance, [variance], rtol=1e-12)


@pytest.mark.parametrize("jit_compile", [None, False, True])
def test_fused_batch_norm_is_the_plain_one(jit_compile):
    # Float64 is never fused. Few positions, so that n and n - 1 differ.
    x = np.random.RandomState(0).randn(2, 2, 2, 3) + 2
    results = []
    for dtype in (tf.float32, tf.float64):
        norm = BatchNorm(3, dtype=dtype)
        norm.offset.assign([0.1, -0.2, 0.3])

        def step(point, norm=norm):
            with tf.GradientTape() as tape:
                tape.watch(point)
                y = norm(point, training=True, update=True)
                loss = tf.reduce_sum(y**3)
            return [y, *tape.gradient(loss, [point, norm.offset])]

        step = step if jit_compile is None else tf.function(step, jit_compile=jit_compile)
        results.append([*step(tf.constant(x, dtype)), norm.statistics.mean, norm.statistics.variance])
    for fused, plain in zip(*results, strict=True):
        assert fused.dtype == tf.float32
        np.testing.assert_allclose(fused, plain, rtol=1e-4, atol=1e-5)  # Gradients are differences of large sums.


@pytest.mark.parametrize("make", [FlowBatchNorm, BatchNorm])
@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_non_finite_batch_leaves_the_running_statistics(make, poison):
    x = np.random.RandomState(0).randn(4, 2, 2, 3).astype(np.float32)
    x[1, 0, 1, 2] = poison
    norm = make(3)
    keywords = {"update": True} if make is BatchNorm else {}
    (norm if make is BatchNorm else norm.inverse)(tf.constant(x), training=True, **keywords)
    mean, variance = norm.statistics.mean.numpy(), norm.statistics.variance.numpy()
    assert mean[2] == 0
    assert variance[2] == 1
    np.testing.assert_allclose(mean[:2], 0.1 * np.mean(x[..., :2], (0, 1, 2)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(variance[:2], 0.9 + 0.1 * np.var(x[..., :2], (0, 1, 2)), rtol=1e-5)


# Networks


def test_weight_norm():
    x = np.random.RandomState(0).randn(1, 5, 4, 2)
    conv = WeightNormConv(2, 3, 1, gain=True, bias=True, dtype=tf.float64)
    conv.gain.assign([0.5, 1.0, 2.0])
    conv.bias.assign([0.1, 0.2, 0.3])
    filters = conv.filters.numpy()[0, 0]
    filters = filters / np.sqrt(np.sum(filters**2, 0)) * conv.gain.numpy()
    np.testing.assert_allclose(conv(tf.constant(x)), x @ filters + conv.bias.numpy(), rtol=1e-12)
    start = WeightNormConv(8, 3, 3, gain=True)
    assert np.max(np.abs(start.filters)) <= np.sqrt(2 / 8)
    np.testing.assert_allclose(start.gain, np.sqrt(2 / 8) * np.sqrt(8 * 9 / 12), rtol=1e-6)


def test_bfloat16_computes_close_to_float32():
    x = pixels(4, 4, 4, 3)
    answers = []
    for compute_dtype in (tf.float32, tf.bfloat16):
        tf.random.set_seed(0)
        flow = small_flow(3, compute_dtype=compute_dtype, width=4)
        assert {v.dtype for v in flow.variables} == {tf.float32}
        for training in (True, False):  # The first moves the statistics.
            z = flow.inverse(x, training=training)
            log_det = flow.inverse_log_det_jacobian(x, 3, training=training)
            assert z.dtype == log_det.dtype == tf.float32
            answers += [z.numpy(), log_det.numpy()]
        answers.append(running(flow))
    for wide, narrow in zip(answers[:5], answers[5:], strict=True):
        assert np.any(wide != narrow)  # Bfloat16 was used ...
        error = np.sqrt(np.mean((wide - narrow) ** 2) / np.mean(wide**2))
        assert error < 0.05  # ... and its 8 bits, 4e-3 a rounding, add up over ten networks.


def test_conditioning_reaches_every_network():
    flow = small_flow(conditioning_size=3)
    networks = [m for m in flow.submodules if isinstance(m, CouplingNetwork)]
    assert len(networks) == 10
    first, second = tf.eye(3)[:1], tf.eye(3)[1:2]
    for network in networks:
        x = tf.random.normal([1, 4, 4, network.channels])
        np.testing.assert_array_equal(network(x, conditioning=first), network(x, conditioning=second))
        network.network.conditioning_weights.assign(tf.random.normal(network.network.conditioning_weights.shape))
        assert np.max(np.abs(network(x, conditioning=first) - network(x, conditioning=second))) > 1e-3
    x = pixels(2, 4, 4, 1)
    both = flow.inverse(x, conditioning=tf.concat([first, second], 0))
    np.testing.assert_allclose(flow.inverse(x, conditioning=first[0])[0], both[0], rtol=1e-5, atol=1e-5)  # Broadcast.
    np.testing.assert_allclose(flow.inverse(x, conditioning=second)[1], both[1], rtol=1e-5, atol=1e-5)
    for wrong in (None, tf.ones([2, 4]), tf.ones([5, 3])):
        with pytest.raises(ValueError, match="conditioning"):
            flow.inverse(x, conditioning=wrong)


# The flow


def test_one_flow_for_images_of_any_size():
    flow = small_flow(num_scales=3, residual_blocks=0)
    for height, width in ((4, 4), (8, 4), (4, 12)):
        latents = tf.random.normal([2, height, width, 1])
        images = flow.forward(latents)
        assert images.shape == latents.shape
        np.testing.assert_allclose(flow.inverse(tf.identity(images)), latents, rtol=1e-3, atol=1e-3)  # Float32.
    with pytest.raises(ValueError, match="divisible"):
        flow.inverse(tf.zeros([6, 4, 1]))
    with pytest.raises(ValueError, match="channels"):
        flow.inverse(tf.zeros([4, 4, 3]))


def test_flows_of_equal_arguments_are_not_equal():
    one, other = small_flow(), small_flow()
    assert one == one
    assert one != other
    assert hash(one) == hash(one)


def test_regularized_variables():
    channels, width = 3, 2
    flow = small_flow(channels, width=width)

    def network(width, outputs):
        # Gains start at sqrt(size ** 2 / 6): two taps and the last convolution 1x1, one of 3x3.
        return (2 * width + outputs) / 6 + width * 9 / 6

    # Level 0: three checkerboards, three channel couplings of half the 4C channels; level 1: four of 2C channels.
    expected = 3 * network(width, 2 * 3) + 3 * network(2 * width, 2 * 6) + 4 * network(2 * width, 2 * 6)

    def total():
        return sum(np.sum(np.square(v)) for v in flow.regularized_variables)

    np.testing.assert_allclose(total(), expected, rtol=1e-5)
    for v in flow.trainable_variables:
        if v.name.endswith("log_scale_gain:0"):
            v.assign(2.0)
    np.testing.assert_allclose(total(), expected + 7 * 4, rtol=1e-5)  # Checkerboards', not channel couplings'.
