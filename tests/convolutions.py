"""Counts convolutions, by which tests see how often a graph evaluates each network."""

from tfp_realnvp.networks.weight_norm_conv import WeightNormConv


def convolutions(concrete_function):
    """The number of Conv2D operations in a graph and in the functions that it calls."""
    graph = concrete_function.graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    return sum(node.op == "Conv2D" for node in nodes)


def expected_convolutions(images):
    """The number if each network of a distribution is evaluated once."""
    count = sum(isinstance(m, WeightNormConv) for m in images.submodules)
    assert count >= 3
    return count
