"""How replicas that train together end together."""

import tensorflow as tf

from tfp_realnvp.runtime.replicas import in_several_replicas, replica_local, sum_over_replicas


class StopVote(tf.Module):
    """One worker asks for the end of the training, and all know of it after the same step.

    A signal reaches one worker, and the others, which wait for its gradients, would wait for ever if it stopped alone.
    The votes are summed together with the gradients, so that they cost no message of their own.
    """

    def __init__(self, name: str = "stop_vote") -> None:
        super().__init__(name=name)
        with tf.name_scope(name):
            self._mine = replica_local(lambda: tf.zeros([]), "mine", dtype=tf.float32)
            self._sum = replica_local(lambda: tf.zeros([]), "sum", dtype=tf.float32)

    def ask(self) -> None:
        """Asks for the end of the training; all know after the next step that begins from now on."""
        self._mine.assign(1.0)

    @property
    def carried(self) -> bool:
        """Whether a worker had asked before the last step."""
        return bool(self._sum.numpy() > 0)

    def reset(self) -> None:
        """Forgets all votes, e.g. before a checkpoint, from which training is to go on."""
        self._mine.assign(0.0)
        self._sum.assign(0.0)

    def summed_with(self, tensors: list) -> list:
        """Returns the tensors of a structure, summed over the replicas, after it has summed the votes with them."""
        if not in_several_replicas():
            return tensors
        *tensors, votes = sum_over_replicas([*tensors, tf.identity(self._mine)])
        self._sum.assign(votes)
        return tensors
