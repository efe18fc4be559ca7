"""The HTML of a gallery, from checked records."""

import dataclasses
import hashlib
import html
import pathlib
import re
import shlex
from base64 import b64encode

from examples import results

_TEMPLATE = pathlib.Path(__file__).with_name("gallery.html")
# Title, figure and picture of a cell; then the text, figure and picture of the link in its caption, if there is one.
COLUMNS = (
    ("Examples", "examples", "examples.png"),
    ("Samples", "samples", "samples.png"),
    ("Samples (twice as large)", "extrapolate", "extrapolate_2x.png"),
    ("Samples (ten times as large)", "extrapolate", "extrapolate_10x.png"),
    ("Information loss", "compress", "compress_noise.png", "rest zero", "compress", "compress_zeros.png"),
    ("Manifold", "dome", "dome.png", "of four", "manifold", "manifold.png"),
)
STATIC_MANIFOLD = ("Manifold", "manifold", "manifold.png")  # replaces the dome where there is none
ATTRIBUTES = ("Attributes", "attributes", "attributes.png")
FIGURES = (*dict.fromkeys(column[1] for column in COLUMNS), "manifold", "attributes")


@dataclasses.dataclass
class Source:
    """A run, or the directory of a toy figure.

    Attributes:
      given: its directory, as the command named it.
      folder: name of the folder for its pictures in the page's directory.
      directory: path of the directory that holds its pictures and records.
      records: dict from figures to their records; a record has its pictures by file name, with their sizes.
      result: the result of the test split, or None.
    """

    given: str
    folder: str
    directory: pathlib.Path
    records: dict[str, dict]
    result: dict | None = None

    @property
    def title(self):
        if "toy" in self.records:
            return "Two moons"
        configs = (record["config"] for record in self.records.values() if record["config"])
        key = self.result["key"] if self.result else next(configs, self.folder)
        return (results.PAPER | results.OTHERS).get(key, (key,))[0]


class _Markup(str):
    """HTML. Any other string is text, which `_tag` escapes."""


def _tag(name, *children, **attributes):
    given = (f' {key.strip("_").replace("_", "-")}="{html.escape(str(value))}"' for key, value in attributes.items())
    inside = "".join(child if isinstance(child, _Markup) else html.escape(child) for child in children)
    return _Markup(f"<{name}{''.join(given)}>{inside}" + ("" if name == "img" else f"</{name}>"))


def command(figure, *runs):
    """Returns the command that makes a figure."""
    return shlex.join(["python", "-m", "examples.figures", figure, *(f"--run={run}" for run in runs if run)])


def render(sources, directory):
    """Returns the page, and the files to copy: a dict from places below the page's directory to the files' paths."""
    copies: dict[str, pathlib.Path] = {}
    rows = [(_toy if "toy" in s.records else _row)(s, f"row-{i}", copies) for i, s in enumerate(sources)]
    links = [_tag("li", _tag("a", s.title, href=f"#row-{i}")) for i, s in enumerate(sources)]
    template = _TEMPLATE.read_text(encoding="utf-8")
    script = template.split("<script>")[1].split("</script>")[0]
    made_by = command("gallery", *(source.given for source in sources)) + f" {shlex.quote(f'--out={directory}')}"
    values = {
        "titles": html.escape(", ".join(dict.fromkeys(source.title for source in sources))),
        # The browser runs this script and no other on the page.
        "script": "sha256-" + b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "links": "".join(links),
        "rows": "\n".join(rows),
        "command": html.escape(results.portable(made_by)),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template), copies


def _row(source, identifier, copies):
    records, result = source.records, source.result
    is_static = "manifold" in records and "dome" not in records
    columns = [*COLUMNS[:-1], STATIC_MANIFOLD if is_static else COLUMNS[-1]]
    groups: dict[str, list] = {"columns": columns, "further": [ATTRIBUTES] if "attributes" in records else []}
    words = list(dict.fromkeys(r["data"] for r in ([result] if result else records.values())))
    if result:
        preset = f"{result['preset']} preset{', conditional' if result['conditional'] else ''}"
        words = [f"config {result['config']}", preset, *words]
    commands = [result["training_command"], result["command"]] if result else []
    commands += [r[key] for key in ("training_command", "command") for r in records.values()]
    return _section(
        source,
        identifier,
        words,
        _facts(result, source.given),
        {name: [_cell(source, copies, *cell) for cell in cells] for name, cells in groups.items()},
        commands,
    )


def _toy(source, identifier, copies):
    record = source.records["toy"]
    hidden = ("figure", "pictures", "data", "unit", "config", "command", "training_command")
    shown = {key: value for key, value in record.items() if key not in hidden and isinstance(value, str | int | float)}
    texts = {key: value if isinstance(value, str) else f"{round(value, 4):,}" for key, value in shown.items()}
    facts = [(key.replace("_", " ").capitalize(), [text]) for key, text in texts.items()]
    words = [str(record[key]) for key in ("data", "unit") if record.get(key)]
    cells = [_cell(source, copies, "Figure 1 of the paper", "toy", name) for name in record["pictures"]]
    return _section(source, identifier, words, _list(facts), {"further": cells}, [record["command"]])


def _section(source, identifier, words, facts, groups, commands):
    lists = [_tag("ul", *cells, class_=f"figures {name}") for name, cells in groups.items() if cells]
    code = [_tag("li", _tag("code", results.portable(line))) for line in dict.fromkeys(filter(None, commands))]
    details = [_tag("details", _tag("summary", "Commands"), _tag("ul", *code))] if code else []
    title = _tag("div", _tag("h2", source.title), _tag("p", " · ".join(filter(None, words)), class_="about"))
    head = _tag("header", title, facts)
    return _tag("section", head, *lists, *details, id=identifier, aria_label=source.title)


def _facts(result, given):
    if result is None:
        line = results.portable(shlex.join(["python", "-m", "examples.evaluate", f"--run={given}"]))
        return _list([("Test bits/dim", ["not evaluated"]), ("To evaluate", [_tag("code", line)])])
    marks = {"subset or stand-in": not result["genuine"], "no bound": not result["bound"]}
    marks[f"{result['split']} split"] = result["split"] != "test"
    number = [_tag("b", _number(result)), *(_tag("strong", m, class_="mark") for m, holds in marks.items() if holds)]
    paper = results.PAPER.get(result["key"], ("", "not in the paper"))[1]
    # Bits/dim of other images, or given a label, are not the paper's quantity.
    if result["key"] in results.PAPER and (result["conditional"] or not result["genuine"]):
        paper += ", not comparable"
    draws = "1 noise draw" if result["noise_draws"] == 1 else f"{result['noise_draws']} noise draws"
    evaluated = f"{result['images']:,} images ({result['split_is']}), {draws}"
    usual = {"preprocessing": "none", "weights": "averaged", "statistics": "running"}
    evaluated += "".join(f", {name}: {result[name]}" for name, value in usual.items() if result[name] != value)
    minutes = f", {result['minutes']:,.1f} min" if result["minutes"] is not None else ""
    bound = result["importance_weighted"]
    return _list(
        [
            (f"{result['split'].capitalize()} bits/dim", number),
            *([(f"Bound of {bound['samples']} samples", [_number(bound)])] if bound else []),
            ("Paper, test (train)", [paper]),
            ("Evaluated on", [evaluated]),
            ("Trained on", [f"{result['images_seen']:,} images{minutes}"]),
        ]
    )


def _number(value):
    return f"{value['bits_per_dim']:.3f} ± {value['standard_error']:.3f}"


def _list(facts):
    return _tag("dl", *(_tag("div", _tag("dt", name), _tag("dd", *content)) for name, content in facts))


def _picture(source, figure, name):
    return source.records.get(figure, {"pictures": {}})["pictures"].get(name)


def _cell(source, copies, title, figure, name, *other):
    picture = _picture(source, figure, name)
    if picture is None:
        line = _tag("code", results.portable(command(figure, source.given)))
        body = _tag("div", _tag("p", "not made"), _tag("p", line), class_="frame")
        return _tag("li", _tag("figure", _tag("figcaption", title), body), class_="missing")

    def copied(file):
        copies[f"{source.folder}/{file}"] = source.directory / file
        return f"{source.folder}/{file}"

    def link_to_large(content, file, alt, words, **attributes):
        title = f"{source.title}: {words}"
        return _tag("a", content, href=copied(file), class_="zoom", data_title=title, data_alt=alt, **attributes)

    (width, height), alt = picture["size"], picture["alt"]
    options = {"loading": "lazy", "decoding": "async", "width": width, "height": height}
    image = _tag("img", src=copied(name), alt=alt, **options)
    links = []
    if other and (also := _picture(source, *other[1:])):
        links.append(link_to_large(other[0], other[2], also["alt"], f"{title}, {other[0]}"))
    pictures = source.records[figure]["pictures"]
    strip = next((p for p in pictures.values() if "frames" in p), None)
    if strip:
        animation = pictures.get(f"{figure}.webp", picture)
        links.append(link_to_large("enlarge", animation["file"], animation["alt"], title, data_still=copied(name)))
        frames = {"data_strip": copied(strip["file"]), "data_frames": strip["frames"], "data_columns": strip["columns"]}
        body = _tag("button", image, type="button", class_="picture dome", **frames)
    else:
        body = _tag("span", link_to_large(image, name, alt, title), class_="picture")
    notes = _notes(source, source.records[figure])
    caption = _tag("figcaption", _tag("span", title), *([_tag("span", *links, class_="links")] if links else []))
    note = [_tag("p", notes, class_="note")] if notes else []
    return _tag("li", _tag("figure", caption, body, *note), class_="tall" if height > 1.2 * width else "")


def _notes(source, record):
    """Returns what a reader of the picture must know and the row does not say."""
    notes = []
    if record.get("temperature", 1.0) != 1.0:
        notes.append(f"temperature {record['temperature']}")
    if record.get("batch_statistics"):
        notes.append("statistics of the pictures")
    if source.result and record.get("step", source.result["step"]) != source.result["step"]:
        notes.append(f"after step {record['step']}; bits/dim are of step {source.result['step']}")
    return ", ".join(notes)
