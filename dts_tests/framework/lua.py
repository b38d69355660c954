# SPDX-License-Identifier: BSD-3-Clause
"""Writing push_realtime.lua files."""

from __future__ import annotations

from typing import Any, Mapping, Sequence


class Raw(str):
    """Lua text that is put into the file as it is: Raw('"--split-time "..(60e9*1)')."""


def value(item: Any) -> str:
    """A Python value as Lua text."""
    if item is None:
        return "nil"
    if isinstance(item, Raw):
        return str(item)
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, (int, float)):
        return repr(item)
    text = str(item).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def config_text(targets: Sequence[Mapping[str, Any]], top: Mapping[str, Any] | None = None) -> str:
    """A configuration with these targets, each a mapping of fields, and top-level fields."""
    lines = ["local Config = {}", "", "Config.Target = {}"]
    for name, item in (top or {}).items():
        lines.append(f"Config.{name} = {value(item)}")
    for target in targets:
        lines += ["", "table.insert(Config.Target,", "{"]
        lines += [f"    {name:9} = {value(item)}," for name, item in target.items()]
        lines += ["})"]
    lines += ["", "return Config", ""]
    return "\n".join(lines)


def write_config(path: str, targets: Sequence[Mapping[str, Any]], top: Mapping[str, Any] | None = None) -> str:
    """Write config_text() to a file; returns its path."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(config_text(targets, top))
    return path


def target(desc: str, path: str, filter_bpf: str | None = None, **fields: Any) -> dict[str, Any]:
    """A target with the reference's defaults: File, 60 s splits, epoch names; fields override or add."""
    return {
        "Desc": desc,
        "Mode": "File",
        "Path": path,
        "Split": "--split-time 60e9",
        "FileName": "--filename-epoch-sec-startend",
        "FilterBPF": filter_bpf,
        **fields,
    }


def shaped(place: str, shapes: Mapping[str, tuple[str | None, str, Mapping[str, Any]]], **fields: Any) -> list[dict[str, Any]]:
    """Targets by their Desc: filter, Split and fields of its own; all share the other fields, which follow.

    Args:
        place: Path, with {} where the Desc goes.
    """
    common = {"FileName": "--filename-epoch-nsec", "MinFree": 0, **fields}
    return [
        target(desc, place.format(desc), text, **{**common, "Split": split, **more})
        for desc, (text, split, more) in shapes.items()
    ]
