"""The paper's CelebA: 3.02 bits/dim on the test set, 2.97 on the training set (paper, table 1).

    python -m examples.train --config=celeba --data_dir=DIR

This config is meant for an accelerator and was not run. With --conditional the flow is conditioned on the 40
attributes, as in the paper's appendix F. The images are rows 40 to 187 and columns 15 to 162 of the aligned pictures,
resized to 64x64 and rounded to 8 bits; training mirrors some at random. The splits are the official ones. Optimiser and
penalty are those of `cifar10`. The paper gives no number of steps; 400,000 is 157 passes over 162,770 pictures.
"""

from examples import data
from examples.config import Config, paper_64


def get_config():
    return Config(
        load=lambda sources: data.celeb_a(sources.data_dir, conditional=sources.conditional),
        flow=paper_64(),
        steps=400_000,
        steps_per_execution=10,
        evaluations=200,
        flip=True,
        image_shape=(64, 64, 3),
    )
