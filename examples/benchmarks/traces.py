"""The events that `tf.profiler` records of a program, as plain numbers."""

import pathlib
import tempfile

import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2  # This is the format of tf.profiler's traces.


def events(function):
    """Calls a function; returns a list of (name, start, duration) of its events, times in picoseconds."""
    with tempfile.TemporaryDirectory() as directory:
        with tf.profiler.experimental.Profile(directory):
            function()
            tf.test.experimental.sync_devices()
        (trace,) = pathlib.Path(directory).rglob("*.xplane.pb")
        planes = xplane_pb2.XSpace.FromString(trace.read_bytes()).planes
    return [
        (plane.event_metadata[event.metadata_id].name, 1000 * line.timestamp_ns + event.offset_ps, event.duration_ps)
        for plane in planes
        for line in plane.lines
        for event in line.events
    ]
