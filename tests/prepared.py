"""The old place of `tests.examples.data.prepared`, for `tests/two_replicas.py` until that imports from the new one."""

from tests.examples.data.prepared import numbered, record_images

__all__ = ["numbered", "record_images"]
