"""What makes a run, as its flags say it, in a file that the other commands read."""

import dataclasses
import json
import pathlib
from typing import Any

from examples import config as config_lib
from examples import json_files
from examples import run as run_lib
from examples.versions import versions


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the first weights of a run come from.

    Attributes:
      run: absolute path of another run's directory.
      weights: "averaged" or "last".
      step: that of the other run's checkpoint.
    """

    run: str
    weights: str
    step: int


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the flags of `examples.train` say about a run.

    Attributes:
      config: name of the config, or absolute path of the user's own file.
      values: `Config.values`, after what the flags have changed.
      sources: where the data come from.
      seed: seed of weights, data order and noise.
      init_from: where the first weights come from; None for random ones.
      command: the command, as it was typed.
    """

    config: str
    values: dict[str, Any]
    sources: config_lib.Sources
    seed: int = 0
    init_from: Source | None = None
    command: str = ""

    @property
    def name(self):
        """The name of the config, or that of the user's own file, which ends in .py."""
        return pathlib.Path(self.config).name

    def alike(self):
        """Returns what must be the same for all workers that train together, a dict for JSON."""
        fields = dataclasses.asdict(self)
        return {name: fields[name] for name in ("config", "values", "sources", "seed", "init_from")} | versions()

    def write(self, path):
        """Writes the settings as JSON, for the other commands to read."""
        run_lib.write(path, json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def from_fields(cls, fields):
        """Returns the settings in a dict from JSON; raises ValueError, TypeError, KeyError or AttributeError."""
        source = fields["init_from"]
        settings = cls(
            **{
                **fields,
                "sources": config_lib.Sources(**fields["sources"]),
                "init_from": None if source is None else Source(**source),
            }
        )
        for name in ("config", "command"):
            if not isinstance(getattr(settings, name), str):
                raise TypeError(f"`{name}`={getattr(settings, name)!r}: must be text")
        config_lib.from_values(settings.values)
        return settings

    @classmethod
    def read(cls, path):
        """Returns the settings in a file; raises ValueError or OSError that names the file if it holds none."""
        try:
            settings = cls.from_fields(json_files.read(path))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise type(error)(
                f"`run`={path.parent}: no run of examples.train, which would have {path.name}, nor an export of one; "
                "name a run's directory, e.g. runs/digits."
            ) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else error
            raise ValueError(
                f"{path} is damaged, or of another version of this project ({reason}); run the command of the training "
                "once more."
            ) from error
        return settings


def config_of(settings, file=None):
    """Returns the `Config` of a run.

    Args:
      settings: `Settings` of the run.
      file: path of the config's file, if it is the user's own. What only the run's directory names is not executed,
        because the directory may come from somebody else.

    Raises:
      ValueError: if a file is needed and not given, or the other way round.
    """
    own = config_lib.is_file(settings.config)
    if own and file is None:
        raise ValueError(
            f"the run was trained with a config of its user's own, {settings.config}: name that file, --config=FILE, "
            "since no command runs a program that only a run's directory names."
        )
    if file is not None and not (own and config_lib.is_file(file)):
        raise ValueError(
            f"`config`={file!r}: the run was trained with the config {settings.config}; leave the flag out, which is "
            "for runs whose config is a file of your own."
        )
    return config_lib.from_values(settings.values, config_lib.get(file if own else settings.config).load)
