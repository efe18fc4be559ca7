"""Programs that reproduce the paper with `tfp_realnvp`."""

import sys

from examples.quiet_start import import_tensorflow

# Python looks for the module of `python -m examples.train`. The table of results needs no TensorFlow.
if sys.argv[:1] == ["-m"] and "examples.results" not in sys.orig_argv:
    import_tensorflow()
