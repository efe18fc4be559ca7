"""What an export says of its run, by which --run=EXPORT takes the place of --run=RUN."""

import dataclasses
import json
import math
import pathlib
from typing import Any

from examples import config as config_lib
from examples import json_files, results
from examples import run as run_lib
from examples.settings import Settings

_RECORD = "run.json"


@dataclasses.dataclass(frozen=True)
class ExportedRun:
    """The record DIRECTORY/N/run.json beside the weights.

    Attributes:
      settings: `Settings` of the run, without paths: those of the machine that trained it are not written, and those
        that somebody has written are not read.
      identity: dict, see `examples.run.Run`.
      step: int, the training steps that were taken.
      seconds: float, how long they took.
    """

    settings: Settings
    identity: dict[str, Any]
    step: int
    seconds: float

    @classmethod
    def of(cls, opened):
        """Returns the record of an `Experiment`."""
        settings, identity = opened.settings, opened.run.identity
        source = settings.init_from and dataclasses.replace(settings.init_from, run="DIR")
        portable = dataclasses.replace(
            settings,
            config=settings.name,
            sources=config_lib.Sources(image_size=settings.sources.image_size, conditional=opened.conditional),
            init_from=source,
            command=results.portable(settings.command),
        )
        identity = {**identity, "init_from": source and dataclasses.asdict(source)}
        return cls(portable, identity, opened.step, opened.seconds)

    def write(self, folder):
        """Writes the record to the folder of an export's version."""
        run_lib.write(pathlib.Path(folder) / _RECORD, json.dumps(dataclasses.asdict(self), indent=1) + "\n")


def find(directory):
    """Returns the `ExportedRun` of the newest version in a directory of exports; None if that is none, or a run's own.

    Raises:
      ValueError: if its record is damaged, or missing.
    """
    if (pathlib.Path(directory) / run_lib.SETTINGS).exists():
        return None
    folders = [path for path in pathlib.Path(directory).glob("*/") if path.name.isdecimal()]
    if not folders:
        return None
    path = max(folders, key=lambda folder: int(folder.name)) / _RECORD
    try:
        fields = json_files.read(path)
        settings = Settings.from_fields(fields["settings"])
        sources = dataclasses.replace(settings.sources, data_dir=None, folder=None)
        record = ExportedRun(**{**fields, "settings": dataclasses.replace(settings, sources=sources)})
        if not isinstance(record.identity, dict) or type(record.step) is not int or record.step < 0:
            raise TypeError("its identity or step is of another type")
        record = dataclasses.replace(record, seconds=float(record.seconds))
        if not 0 <= record.seconds < math.inf:
            raise ValueError(f"its seconds are {record.seconds}")
        return record
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"`run`={directory}: {path} is missing, damaged, or of another version of this project ({error}); export "
            "the run once more."
        ) from error
