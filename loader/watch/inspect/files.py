"""Files of one kind, one sample each: what they hold, and the source that reads them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from loader.data.decode.decoder import Decoder
from loader.data.sources.files.byte_files import ByteFiles
from loader.data.sources.files.labelled_files import LabelledFiles
from loader.data.sources.files.npy_files import NpyFiles
from loader.errors import ConfigError
from loader.watch.inspect.finding import MOST_HEADERS, SHOWN, Contents, Finding, Look, batch_bytes, count_of
from loader.watch.inspect.kinds import archives, npy_files, pictures, raw, sound, texts
from loader.watch.inspect.kinds.kind import Kind
from loader.watch.inspect.reach import Reach
from loader.watch.inspect.snippet import write

_SURVEYS: Mapping[Kind, ModuleType] = {
    Kind.NPY: npy_files,
    Kind.PICTURES: pictures,
    Kind.SOUND: sound,
    Kind.NPZ: archives,
    Kind.TEXT: texts,
}


DECODED = frozenset((Kind.PICTURES, Kind.SOUND, Kind.NPZ, Kind.TEXT))
"""Kinds of files for which this package has decoders, with arguments that their headers tell."""


class _ListedNpyFiles(NpyFiles):
    """The files of a manifest. One that does not exist is a bad file among others, not the end of the verification."""

    finds_missing = False


class _ListedByteFiles(ByteFiles):
    """The same, of any kind."""

    finds_missing = False


@dataclass(frozen=True)
class Files:
    """Files of one kind, and how a source of them is made.

    Attributes:
        kind: of all.
        paths: of all that are there, in order.
        maker: `""` for the class itself, `"from_folder"` or `"from_manifest"`.
        place: what the maker is given first: a path, or a list of them.
        options: what else it is given.
        parts: of a sample: `("x",)`, and what the maker adds.
        histogram: samples of each class.
        code: of the snippet: what comes before the source; may be empty.
        given: in the snippet, what the maker is given, where that takes `code`; else it follows from the above.
        reach: brings the beginnings of objects, if `paths` are URLs.
    """

    kind: Kind
    paths: Sequence[str]
    maker: str
    place: str | Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)
    parts: tuple[str, ...] = ("x",)
    histogram: Mapping[str, int] = field(default_factory=dict)
    code: str = ""
    given: str = ""
    reach: Reach | None = None

    def look(self, most: int = MOST_HEADERS) -> tuple[Look, Contents]:
        """Read headers, and return what they say."""
        survey = _SURVEYS.get(self.kind, raw)
        if self.reach is None:
            seen: Look = survey.look(self.paths, most)
        else:
            seen = self.reach.look(self.paths, most, lambda near: survey.look(near, len(near)))
        if self.kind is Kind.NPZ:
            return seen, archives.contents(seen, with_labels=len(self.parts) == 1)
        return seen, survey.contents(seen)

    def source(self, decoder: Decoder | None) -> LabelledFiles:
        """Return the source of them. Files of a manifest that are missing are bad ones among others."""
        is_listed = self.maker == "from_manifest" or not isinstance(self.place, str)
        kind: type[LabelledFiles] = _ListedByteFiles if is_listed else ByteFiles
        if decoder is None:
            kind = _ListedNpyFiles if is_listed else NpyFiles
        make = getattr(kind, self.maker) if self.maker else kind
        given: dict[str, Any] = {} if decoder is None else {"decode": decoder}
        found: LabelledFiles = make(self.place, **self.options, **given)
        return found

    def call(self, contents: Contents) -> str:
        """Return the expression that makes the source of them."""
        name = "NpyFiles" if contents.decoder is None else "ByteFiles"
        arguments = [self.given] if self.given else [repr(self.place), *(f"{name}={value!r}" for name, value in self.options.items())]
        if contents.decoder is not None:
            arguments.append(f"decode={contents.function or repr(contents.decoder)}")
        return f"{name}{'.' if self.maker else ''}{self.maker}({', '.join(arguments)})"

    def _shown(self, path: str) -> str:
        """Return a path as the user would write it, who gave the folder that it is in."""
        if not isinstance(self.place, str):
            return path
        prefix = os.path.abspath(self.place).rstrip("/") + "/"
        return os.path.join(self.place, path.removeprefix(prefix)) if path.startswith(prefix) else path

    def finding(self, path: str, more_facts: Mapping[str, Any], more_lines: Mapping[str, str], most: int, remarks: Sequence[str] = ()) -> Finding:
        """Return what is known of them.

        Args:
            path: that was asked about.
            more_facts, more_lines: that come after the number of files.
            most: headers to read.
            remarks: for the snippet.
        """
        seen, contents = self.look(most)
        facts = {"path": path, "kind": self.kind.value, "files": len(self.paths), **more_facts, "headers read": seen.read, **contents.facts}
        facts |= {**batch_bytes(contents.sample_bytes), "unreadable": seen.unreadable}
        lines = {"path": path, "files": f"{len(self.paths):,}", **more_lines}
        more = "" if self.reach else "; --verify reads all"
        lines["headers read"] = "all" if seen.read == len(self.paths) else f"{seen.read:,} of {len(self.paths):,}, spread evenly{more}"
        lines |= contents.lines
        if seen.unreadable:
            lines["not readable"] = f"{count_of(len(seen.unreadable))} of those read"
        lines |= {f"  bad {number}": f"{self._shown(bad['path'])}: {bad['problem']}" for number, bad in enumerate(seen.unreadable[:SHOWN], 1)}
        if needs := _missing(contents.decoder):
            facts["needs"] = lines["needs"] = needs
        bad = bool(seen.unreadable) or contents.some_stay_bad
        remarks = (*contents.remarks, *remarks, *(["bad files: others take their place"] if bad else []))
        parts = contents.parts if len(self.parts) == 1 else self.parts
        names = ["NpyFiles"] if contents.decoder is None else ["ByteFiles"] + ["decode"] * (not contents.function)
        script = write(
            self.call(contents),
            *names,
            code="\n".join(filter(None, [contents.code, self.code])),
            parts=parts,
            transform=contents.transform,
            remarks=remarks,
            substitute=bad,
        )
        return Finding(facts, lines, script, self.histogram)


def _missing(decoder: Decoder | None) -> str:
    """Return what has to be installed to decode; empty if all is."""
    try:
        if decoder is not None:
            decoder.check()
    except ConfigError as error:
        return str(error)
    return ""
