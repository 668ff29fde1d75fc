"""The parser of a command, and the options that several commands take."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

from vaelab._words import nearest

_READING = ("background", "white", "skip_bad", "stream")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are a ValueError of one line, which names the nearest word it knows."""

    def option(
        self,
        name: str,
        help: str,
        kind: Callable[[str], Any] = str,
        metavar: str | None = None,
        default: Any = None,
        nargs: str | None = None,
    ) -> None:
        """Add an option with one value, read by `kind`, or an argument; or with `nargs` of them."""
        how = {"type": kind, "metavar": metavar, "default": default, "nargs": nargs}
        self.add_argument(name, help=help, **how)

    def flag(self, name: str, help: str) -> None:
        """Add an option without a value."""
        self.add_argument(name, help=help, action="store_true")

    def options(self) -> dict[str, str]:
        """The options, and arguments that may be left out, by what they become, such as
        "latent_dim": "--latent-dim".
        """
        left_out = {a.dest: str(a.metavar) for a in self._actions if a.nargs == "?"}
        return left_out | {a.dest: a.option_strings[-1] for a in self._actions if a.option_strings}

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Raise for words that no option or argument takes."""
        word = next((word for word in unknown if word.startswith("-")), unknown[0])
        name = word.partition("=")[0]
        known = [option for option in self.options().values() if option.startswith("-")]
        self.error(f"unexpected {name!r}{nearest(name, known)}")

    def error(self, message: str) -> NoReturn:
        """Raise in place of printing the usage and leaving."""
        message = message.removeprefix("argument ")
        message = message.replace("invalid int value:", "expected a whole number, got")
        message = message.replace("invalid float value:", "expected a number, got")
        raise ValueError(f"{message} (see {self.prog} --help)")

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        # A shell's variable that is not set is an empty word, and Path("") the folder one is in.
        if not arg_string and action.choices is None:
            raise argparse.ArgumentError(action, "expected a value, got an empty word")
        return super()._get_value(action, arg_string)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = ", ".join(action.choices)
            message = f"expected one of {known}, got {value!r}{nearest(value, action.choices)}"
            raise argparse.ArgumentError(action, message)


def add_run(p: Parser) -> None:
    """Add FOLDER, a trained model."""
    p.option(
        "folder",
        "a folder that `vaelab train` wrote, or digits-laptop or fashion-laptop, which come with "
        "the package",
        Path,
        "FOLDER",
    )


def add_seed(p: Parser, what: str) -> None:
    """Add --seed, with what is drawn from it."""
    p.option("--seed", f"of {what} (default 0)", int, default=0)


def add_data(p: Parser) -> None:
    """Add --data."""
    p.option("--data", "where data sets lie (default: $VAELAB_DATA, else data/)", Path, "ROOT")


def add_images(p: Parser) -> None:
    """Add IMAGES, a data set or a folder of pictures, and how it is read."""
    p.option(
        "images",
        "data set, or folder of pictures (default: what the model was trained on)",
        metavar="IMAGES",
        nargs="?",
    )
    add_data(p)
    add_reading(p)


def add_training(p: Parser) -> None:
    """Add --device and --checkpoint-every."""
    p.option("--device", "auto, cpu, cuda, mps, ... (default auto)", default="auto")
    p.option("--checkpoint-every", "seconds between saves (default 60)", float, "S", 60.0)


def add_precision(p: Parser) -> None:
    """Add --precision."""
    p.option("--precision", "float32, tf32, bfloat16 or auto (default float32)", default="float32")


def add_reading(p: Parser) -> None:
    """Add --background, --white and --skip-bad: how a folder of pictures is read."""
    p.option(
        "--background",
        "what shows through a folder's transparent pictures: a colour, #rrggbb, or a grey from 0 "
        "to 1 (default white)",
        number_or_word,
        "COLOUR",
    )
    p.option(
        "--white",
        "the pixel value that is white in a folder's pictures, such as 4095 for 12 bits in 16 "
        "(default: the largest that the files can hold)",
        float,
        "V",
    )
    p.flag("--skip-bad", "leave out a folder's pictures that cannot be read, and name them")


def reading(args: argparse.Namespace, name: str | None) -> dict[str, Any]:
    """What `load_images` takes of the options of `add_reading`, where they were given.

    Raises:
        ValueError: they were given for what is no folder.
    """
    from vaelab.data import NAMES

    options = {name: getattr(args, name, None) for name in _READING}
    options = {name: value for name, value in options.items() if value not in (None, False)}
    if options and name in NAMES:
        raise ValueError(
            "--background, --white, --skip-bad and --stream are for folders of pictures; leave "
            f"them out for {name!r}"
        )
    return options


def number_or_word(text: str) -> float | str:
    """A number where the text is one, else the text."""
    with contextlib.suppress(ValueError):
        return float(text)
    return text


def given(kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given a value, of those named like a field of the dataclass `kind`."""
    names = {field.name for field in fields(kind)}
    return {k: v for k, v in options.items() if k in names and v is not None}
