"""Read and write confs: HOCON text to the typed dataclasses of ``nsr.config.schema`` and back.

A conf is laid over the defaults of the schema.  ``include "other.conf"`` (relative to the including file) inherits;
what follows it wins, key by key.  To replace an inherited encoding together with its options, first set it to null
in a line of its own (``model.implicit_network.encoding = null``): HOCON merges blocks.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import logging
import math
import types
import typing
from pathlib import Path
from typing import Any

from nsr.atomic import whole_file
from nsr.config.legacy import upgrade_legacy
from nsr.config.ranges import check_ranges
from nsr.config.schema import Config, EncodingConfig
from nsr.errors import ConfigError

COMMAND_LINE = "command line"


def load_config(path: str | Path, overrides: dict[str, Any] | list[str] | None = None) -> Config:
    """Read a conf file.

    Confs written for IDR, and for its descendants that choose encodings by ``embed_type``, are recognised and
    translated (``nsr.config.legacy``).

    Args:
        path: a HOCON file.
        overrides: laid over the file: ``{"train.steps": 500}`` or ``["train.steps=500"]`` (the value in HOCON).

    Returns:
        the whole conf, every value of the type that the schema asks for.

    Raises:
        ConfigError: no such file, not HOCON, an included file that is missing, an unknown key (the nearest valid one
            is named), or a value of the wrong type or out of its range.
    """
    path = Path(path)
    tree = upgrade_legacy(_parse_file(path), str(path))
    config = _fill(Config, tree, _Place(str(path)))
    check_ranges(config, str(path))
    if overrides:
        pairs = overrides if isinstance(overrides, dict) else parse_assignments(overrides)
        config = _override(config, pairs)
        check_ranges(config, COMMAND_LINE)
    return config


def load_settings(path: str | Path, cls: type) -> Any:
    """Read a HOCON file into a dataclass other than ``Config``, laid over its defaults.

    Raises:
        ConfigError: as ``load_config``; ranges are the dataclass's own affair.
    """
    return _fill(cls, _parse_file(Path(path)), _Place(str(path), root=cls))


def dump_config(config: Config, path: str | Path) -> None:
    """Write ``config`` as HOCON that ``load_config`` reads back equal; the file appears whole or not at all.

    Raises:
        OSError: it cannot be written, as on a full disk; nothing is left behind.
    """
    text = "\n".join(_lines(_to_tree(config), "")) + "\n"
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")


@dataclasses.dataclass
class _Place:
    """Where a value stands, for messages."""

    source: str
    key: str = ""
    root: type = Config  # what the whole file describes

    def down(self, name: str) -> _Place:
        return _Place(self.source, f"{self.key}.{name}" if self.key else name, self.root)

    def wrong_type(self, value: Any, wanted: str) -> ConfigError:
        shown = value if isinstance(value, (bool, int, float, str, list, dict, type(None))) else str(value)
        return ConfigError(f"{self.source}: {self.key} = {json.dumps(shown, default=str)}: this key wants {wanted}")


# --- parsing -------------------------------------------------------------------------------------------------------


class _MissingIncludes(logging.Handler):
    """pyhocon only logs an include that it cannot find; a conf that lost its base must not train."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.args:
            self.files.append(str(record.args[0]))


def _parse_file(path: Path) -> dict:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such conf file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder, not a conf file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not a text file in UTF-8") from None
    return _parse_text(text, str(path), basedir=str(path.parent))


def _parse_text(text: str, source: str, basedir: str | None = None) -> dict:
    from pyhocon import ConfigFactory, ConfigTree
    from pyhocon.exceptions import ConfigException
    from pyparsing import ParseBaseException

    logger, missing = logging.getLogger("pyhocon.config_parser"), _MissingIncludes()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(missing)
    try:
        tree = ConfigFactory.parse_string(text, basedir=basedir)
    except ParseBaseException as error:
        raise ConfigError(
            f"{source}, line {error.lineno}: cannot be read as HOCON, near {error.line.strip()!r}"
        ) from None
    except FileNotFoundError as error:
        raise ConfigError(f"{source}: the included file {error.filename} does not exist") from None
    except (ConfigException, ValueError) as error:
        raise ConfigError(f"{source}: cannot be read as HOCON: {error}") from None
    finally:
        logger.removeHandler(missing)
        logger.propagate = propagate
    if missing.files:
        raise ConfigError(f"{source}: the included file {missing.files[0]} does not exist")
    if not isinstance(tree, ConfigTree):
        raise ConfigError(f"{source}: a conf is made of sections (train {{ ... }}), this file is a list")
    return tree.as_plain_ordered_dict()


def parse_assignments(assignments: list[str]) -> dict[str, Any]:
    """``["train.steps=500"]`` as ``{"train.steps": 500}``, values in HOCON; a ``ConfigError`` where one is not so."""
    pairs = {}
    for assignment in assignments:
        key, sign, value = assignment.partition("=")
        if not sign or not key.strip():
            raise ConfigError(f"{COMMAND_LINE}: {assignment!r} is not KEY=VALUE, as in train.steps=500")
        pairs[key.strip()] = _parse_text(f"value = {value}", COMMAND_LINE)["value"]
    return pairs


# --- typing --------------------------------------------------------------------------------------------------------


def _fill(cls: type, tree: Any, place: _Place, base: Any = None) -> Any:
    """An instance of dataclass ``cls``: the keys of ``tree`` over ``base`` (the schema's defaults when None)."""
    if not isinstance(tree, dict):
        raise place.wrong_type(tree, "a block { ... }")
    base = cls() if base is None else base
    if cls is EncodingConfig:
        return _fill_encoding(tree, place, base)
    hints = typing.get_type_hints(cls)
    values = {}
    for name, value in tree.items():
        if name not in hints:
            raise _unknown_key(cls, place.down(name), name)
        values[name] = _convert(value, hints[name], place.down(name), getattr(base, name))
    return dataclasses.replace(base, **values)


def _fill_encoding(tree: dict, place: _Place, base: EncodingConfig) -> EncodingConfig:
    options = {key: value for key, value in tree.items() if key != "name"}
    if "name" not in tree:
        return EncodingConfig(base.name, {**base.options, **options})
    return EncodingConfig(_convert(tree["name"], str, place.down("name"), None), options)


def _convert(value: Any, hint: Any, place: _Place, base: Any) -> Any:
    """``value`` as the type ``hint``; ``base`` is what it replaces, for blocks that are only partly given."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        if value is None and len(kinds) < len(typing.get_args(hint)):
            return None
        return _convert(value, kinds[0], place, base)
    if dataclasses.is_dataclass(hint):
        return _fill(hint, value, place, base)
    if origin is list:
        if not isinstance(value, list):
            raise place.wrong_type(value, f"a list of {_plural(typing.get_args(hint)[0])}, as in [1, 2]")
        return [_convert(item, typing.get_args(hint)[0], place.down(str(i)), None) for i, item in enumerate(value)]
    if origin is tuple:
        kinds = typing.get_args(hint)
        if not isinstance(value, list) or len(value) != len(kinds):
            raise place.wrong_type(value, f"a list of {len(kinds)} {_plural(kinds[0])}")
        return tuple(_convert(item, kind, place.down(str(i)), None) for i, (item, kind) in enumerate(zip(value, kinds)))
    if hint is dict or origin is dict:
        if not isinstance(value, dict):
            raise place.wrong_type(value, "a block { ... }")
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not hint or (hint is float and not math.isfinite(value)):
        raise place.wrong_type(value, _SCALARS[hint])
    return value


_SCALARS = {bool: "true or false", int: "a whole number", float: "a number", str: "text (in quotes)"}


def _plural(hint: Any) -> str:
    return {int: "whole numbers", float: "numbers", str: "texts", bool: "true or false"}.get(hint, str(hint))


def _override(config: Config, pairs: dict[str, Any]) -> Config:
    for key, value in pairs.items():
        tree: Any = value
        for name in reversed(key.split(".")):
            tree = {name: tree}
        config = _fill(Config, tree, _Place(COMMAND_LINE), config)
    return config


def _unknown_key(cls: type, place: _Place, name: str) -> ConfigError:
    section = [field.name for field in dataclasses.fields(cls)]
    prefix = place.key[: -len(name)]
    everywhere = list(_all_keys(place.root, ""))
    same_name = [key for key in everywhere if key.rpartition(".")[2] == name]
    near_here = difflib.get_close_matches(name, section, n=1)
    leaf_names = {key.rpartition(".")[2]: key for key in reversed(everywhere)}
    near_anywhere = difflib.get_close_matches(name, leaf_names, n=1, cutoff=0.75)
    if same_name:
        hint = f"did you mean {same_name[0]}?"
    elif near_here:
        hint = f"did you mean {prefix}{near_here[0]}?"
    elif near_anywhere:
        hint = f"did you mean {leaf_names[near_anywhere[0]]}?"
    else:
        hint = f"valid here: {', '.join(section)}"
    return ConfigError(f"{place.source}: unknown key {place.key}; {hint}")


def _all_keys(cls: type, prefix: str) -> typing.Iterator[str]:
    for name, hint in typing.get_type_hints(cls).items():
        yield prefix + name
        for kind in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(kind) and kind is not EncodingConfig:
                yield from _all_keys(kind, f"{prefix}{name}.")


# --- writing -------------------------------------------------------------------------------------------------------


def _to_tree(value: Any) -> Any:
    if isinstance(value, EncodingConfig):
        return {"name": value.name, **value.options}
    if dataclasses.is_dataclass(value):
        return {field.name: _to_tree(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def _lines(tree: dict, indent: str) -> typing.Iterator[str]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield f"{indent}{key} {{"
            yield from _lines(value, indent + "  ")
            yield f"{indent}}}"
        else:
            yield f"{indent}{key} = {json.dumps(value, ensure_ascii=False)}"
