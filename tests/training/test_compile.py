"""`FlowModel` before training: its optimizer, its variables, its summary, and distributions that it refuses."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from tests.models import flow, images, normal, tiny, values
from tfp_realnvp import FlowModel, RealNVPImage

tfd = tfp.distributions


def test_a_variable_without_a_gradient_stays(kind):
    distribution = normal()
    distribution.unused = tf.Variable(1.0, name="unused")
    kind.compiled(distribution).fit(images(), verbose=0)
    assert distribution.unused.numpy() == 1.0


def test_the_default_optimizer_is_adam_with_clipping(kind):
    model = kind.compiled(normal())
    config = model.optimizer.get_config()
    assert isinstance(model.optimizer, kind.optimizers.Adam)
    assert config["learning_rate"] == pytest.approx(1e-3)
    assert (config["beta_1"], config["beta_2"], config["epsilon"]) == (0.9, 0.999, 1e-8)
    assert config["global_clipnorm"] == 100.0


def test_clipping_takes_effect(kind):
    distribution = tiny()
    before = values(distribution.trainable_variables)
    model = kind.compiled(distribution, optimizer=kind.optimizers.SGD(2.0, global_clipnorm=1e-2))
    model.fit(images(), batch_size=8, verbose=0)
    moved = [a - b for a, b in zip(values(distribution.trainable_variables), before, strict=True)]
    # The gradient is larger than the norm. Weights near 1 are rounded to 6e-8, and movements are 2e-2 or less.
    np.testing.assert_allclose(np.sqrt(sum(np.sum(m**2) for m in moved)), 2e-2, rtol=1e-4)


@pytest.mark.parametrize("name", ["loss", "metrics"])
def test_own_losses_are_refused(kind, name):
    with pytest.raises(ValueError, match=f"`{name}`.*FlowModel's loss is the likelihood"):
        kind.FlowModel(normal()).compile(**{name: "mse"})


def test_variables_exist_before_the_first_call(kind):
    distribution = flow(num_scales=2, residual_blocks=1)
    model = kind.compiled(distribution, averaging=0.9)
    names = [v.name for v in distribution.variables]
    assert len(set(names)) == len(names) > 100
    trainable = {id(v) for v in kind.of_tensorflow(model.trainable_variables)}
    assert trainable == {id(v) for v in distribution.trainable_variables} != set()
    assert {id(v) for v in distribution.variables} <= {id(v) for v in kind.of_tensorflow(model.variables)}
    optimized = [getattr(v, "path", v.name) for v in model.optimizer.variables if "learning_rate" not in v.name]
    # Adam has two for each of ours, and counts the steps.
    assert len(set(optimized)) == len(optimized) == 2 * len(model.trainable_variables) + 1


def test_the_summary_counts_all_variables():
    distribution = flow(num_scales=2)
    lines = []
    FlowModel(distribution).summary(line_length=200, print_fn=lines.append)
    groups = [line.split() for line in lines if "VariableGroup" in line]
    couplings = [f"level_0.checkerboard_{i}" for i in range(3)] + [f"level_0.channel_{i}" for i in range(3)]
    couplings += [f"level_1.checkerboard_{i}" for i in range(4)]
    bijectors = couplings + [f"{coupling}.output_norm.statistics" for coupling in couplings]
    assert sorted(words[0].split(".", 1)[1] for words in groups) == sorted(bijectors)
    assert sum(int(words[-1].replace(",", "")) for words in groups) == sum(
        v.shape.num_elements() for v in distribution.variables
    )
    trainable = next(line for line in lines if line.startswith("Trainable params"))
    assert int(trainable.split()[2].replace(",", "")) == sum(
        v.shape.num_elements() for v in distribution.trainable_variables
    )


def test_wrong_distributions_are_refused(kind):
    with pytest.raises(TypeError, match=r"must be a tfd\.Distribution"):
        kind.FlowModel(RealNVPImage(1, num_scales=1, width=2, residual_blocks=0))
    with pytest.raises(ValueError, match="static"):
        kind.FlowModel(tfd.Normal(0.0, 1.0))
    with pytest.raises(ValueError, match="`l2`=-1"):
        kind.FlowModel(normal(), l2=-1)
