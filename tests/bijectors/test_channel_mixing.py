"""`ChannelMixing`: its matrix is the product of its factors, and starts as a rotation."""

import numpy as np
import tensorflow as tf

from tfp_realnvp import ChannelMixing


def test_it_starts_as_a_rotation_that_the_seed_selects():
    matrices = []
    for seed in (1, 1, 2):
        tf.random.set_seed(seed)
        mixing = ChannelMixing(12, dtype=tf.float64)
        matrices.append(mixing.matrix.numpy())
        np.testing.assert_allclose(matrices[-1] @ matrices[-1].T, np.eye(12), atol=1e-13)
        np.testing.assert_allclose(tf.reduce_sum(mixing.log_diagonal), 0, atol=1e-13)
    np.testing.assert_array_equal(matrices[0], matrices[1])
    assert np.abs(matrices[0] - matrices[2]).max() > 0.1


def test_each_pixel_is_multiplied_by_the_matrix_of_the_formula():
    mixing = ChannelMixing(3, dtype=tf.float64)
    mixing.lower.assign([[9.0, 9.0, 9.0], [0.5, 9.0, 9.0], [-1.0, 2.0, 9.0]])  # Nines lie outside of the triangle.
    mixing.upper.assign([[9.0, 1.0, -2.0], [9.0, 9.0, 0.25], [9.0, 9.0, 9.0]])
    mixing.log_diagonal.assign(np.log([2.0, 0.5, 3.0]))
    mixing.signs.assign([1.0, -1.0, 1.0])
    mixing.permutation.assign([2, 0, 1])
    lower = np.array([[1, 0, 0], [0.5, 1, 0], [-1, 2, 1]])
    upper = np.array([[2, 1, -2], [0, -0.5, 0.25], [0, 0, 3]])
    matrix = np.empty([3, 3])
    matrix[[2, 0, 1]] = lower @ upper
    np.testing.assert_allclose(mixing.matrix, matrix)
    y = np.random.RandomState(0).randn(2, 4, 5, 3)
    x = mixing.inverse(y)
    np.testing.assert_allclose(x, np.einsum("ij,nhwj->nhwi", matrix, y))
    np.testing.assert_allclose(mixing.inverse_log_det_jacobian(y, 3), 20 * np.log(abs(np.linalg.det(matrix))))


def test_permutation_and_signs_are_not_trained_but_saved():
    mixing = ChannelMixing(4)
    assert {v.name.split("/")[-1] for v in mixing.trainable_variables} == {"lower:0", "upper:0", "log_diagonal:0"}
    assert {v.name.split("/")[-1] for v in mixing.non_trainable_variables} == {"signs:0", "permutation:0"}
