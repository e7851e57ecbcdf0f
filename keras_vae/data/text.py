"""Lines of text as tokens.

Floor 3.
"""

from __future__ import annotations

import gzip
import heapq
import itertools
import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_vae.arguments import require_integer, require_one_of
from keras_vae.component import register
from keras_vae.core.atomic_io import writing
from keras_vae.core.paths import local_path
from keras_vae.data.schema import Read, Schema, report_skipped
from keras_vae.data.source import Source, shuffled, split
from keras_vae.preprocessors import Identity

__all__ = ["TextSchema", "from_text"]

#: The token that ends a line, and fills what is left of it.
END = 0
_LEVELS = ("character", "subword")


@register("data")
class TextSchema(Schema):
    """Lines of at most so many tokens, by number: 0 ends a line and fills the rest.

    Args:
        vocabulary: Text of the tokens, by number; of the first, the end, `""`.
        length: Tokens of a line at most.
        merges: Pairs of tokens that are joined, the first ones first. Defaults to `()`: tokens
            are characters.

    Raises:
        ValueError: If `length` is not an integer >= 1, or the vocabulary does not begin with
            `""`.

    Example:
    >>> schema = keras_vae.data.TextSchema(["", "a", "b", "ab"], 4, merges=[["a", "b"]])
    >>> schema.encode(["abba"])[0, :, 0].tolist()
    [3, 2, 1, 0]
    >>> schema.decode([[[3], [2], [1], [0]]])
    ['abba']
    """

    kind = "text"

    def __init__(
        self, vocabulary: Sequence[str], length: int, merges: Sequence[Sequence[str]] = ()
    ) -> None:
        require_integer("length", length)
        if not vocabulary or vocabulary[END]:
            raise ValueError(
                f"`vocabulary` must begin with '', the end. Received: {list(vocabulary)[:3]}."
            )
        self.vocabulary = vocabulary
        self.length = length
        self.merges = merges
        self._number = {token: number for number, token in enumerate(vocabulary)}
        self._rank = {tuple(pair): rank for rank, pair in enumerate(merges)}
        self._known: dict[str, list[str]] = {}

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (self.length, 1)

    def suffixes(self) -> tuple[str, ...]:
        return (".txt", ".npy")

    def encode(self, lines: Sequence[str]) -> np.ndarray:
        """Lines as tokens, int32 `[lines, length, 1]`.

        Raises:
            ValueError: If a line is too long, or has a character that is not known.
        """
        x = np.full((len(lines), self.length, 1), END, "int32")
        for row, line in enumerate(lines):
            reason = self._why_bad(line)
            if reason:
                raise ValueError(
                    f"Lines must be such as were learned from. Received: {reason}."
                )
            tokens = self._tokens(line)
            x[row, : len(tokens), 0] = [self._number[token] for token in tokens]
        return x

    def decode(self, x: Any) -> list[str]:
        """Lines of tokens `[lines, length, 1]`, each up to its first end."""
        numbers = np.rint(np.asarray(x)).astype(int)[..., 0]
        ends = np.where((numbers == END).any(1), (numbers == END).argmax(1), self.length)
        return [
            "".join(self.vocabulary[n] for n in row[:end]) for row, end in zip(numbers, ends)
        ]

    def read(self, source: Any, skip_bad: bool = False) -> Read:
        return self._read(_lines(source), skip_bad)

    def _read(self, found: dict[str, str], skip_bad: bool) -> Read:
        """Lines by name as tokens."""
        reasons = {name: self._why_bad(line) for name, line in found.items()}
        skipped = {name: reason for name, reason in reasons.items() if reason}
        if skipped and not skip_bad:
            raise ValueError(
                f"`source` must hold lines of at most {self.length} known tokens. Received: "
                f"{len(skipped)} others, such as {next(iter(skipped))}: "
                f"{next(iter(skipped.values()))}. Leave them out by skip_bad=True."
            )
        good = {name: line for name, line in found.items() if name not in skipped}
        if not good:
            raise ValueError(f"`source` holds no line that can be used. Received: {skipped}.")
        return Read(self.encode(list(good.values())), list(good), None, skipped)

    def write(
        self, x: np.ndarray, path: str | os.PathLike[str], like: Read | None = None
    ) -> Path:
        """Write lines: `.txt`, or `.npy` of their tokens."""
        target = self.checked(path)
        if target.suffix != ".txt":
            return super().write(x, path, like)
        with writing(target) as draft:
            draft.write_text("".join(f"{line}\n" for line in self.decode(x)), "utf-8")
        return target

    def _why_bad(self, line: str) -> str | None:
        """What is wrong with a line, if anything."""
        unknown = sorted(c for c in set(line) if c not in self._number)
        if unknown:
            return f"characters {unknown} in {line[:40]!r}"
        count = len(self._tokens(line))
        return f"{count} tokens in {line[:40]!r}" if count > self.length else None

    def _tokens(self, line: str) -> list[str]:
        if not self.merges:
            return list(line)
        tokens: list[str] = []
        for piece in _pieces(line):
            if piece not in self._known:
                self._known[piece] = self._joined(list(piece))
            tokens += self._known[piece]
        return tokens

    def _joined(self, tokens: list[str]) -> list[str]:
        """Join pairs, the earliest learned ones first."""
        while len(tokens) > 1:
            pairs = list(itertools.pairwise(tokens))
            best = min(pairs, key=lambda pair: self._rank.get(pair, len(self._rank)))
            if best not in self._rank:
                break
            tokens = _merged(tokens, best)
        return tokens


def from_text(
    source: Any,
    level: str = "character",
    *,
    length: int | None = None,
    vocabulary_size: int = 1_000,
    held_out: float = 0.1,
    seed: int = 0,
    skip_bad: bool = False,
) -> Source:
    """Load text: each line is an example; blank ones do not count.

    Args:
        source: A text file in UTF-8, one packed by gzip (`.gz`), or strings.
        level: `"character"`, or `"subword"`: pairs that are frequent within words are joined,
            one after the other (Sennrich, Haddow and Birch 2016, section 3.2). Defaults to
            `"character"`.
        length: Tokens of a line at most. Defaults to `None`: those of the longest.
        vocabulary_size: Tokens at most, of subwords. Defaults to `1000`.
        held_out: Share of lines that is not trained on. Defaults to `0.1`.
        seed: Of the choice of those. Defaults to `0`.
        skip_bad: Whether to leave out, with a warning, lines that are too long. Defaults to
            `False`: they are an error.

    Returns:
        A `Source` of tokens, int32 `[lines, length, 1]`, for a decoder with
        `autoregressive=True` and `likelihoods.Categorical(len(schema.vocabulary),
        end_token=0)`. `source.schema.decode` makes text of them.

    Raises:
        ValueError: If there are no lines, one is too long or holds a line break, or
            `vocabulary_size` is below the number of characters.

    Example:
    >>> source = keras_vae.data.from_text(["anna", "bob", "hannah", "otto"], held_out=0.25)
    >>> source
    <Source of text: 3 to train on, 1 held out, (6, 1), 0 left out>

    Reference: Sennrich, Haddow and Birch (2016), Neural Machine Translation of Rare Words with
    Subword Units.
    """
    require_one_of("level", level, _LEVELS)
    require_integer("vocabulary_size", vocabulary_size, 2)
    if length is not None:
        require_integer("length", length)
    lines = _lines(source)
    characters = sorted(set("".join(lines.values())))
    merges: list[list[str]] = []
    if level == "subword":
        room = vocabulary_size - len(characters) - 1
        if room < 0:
            raise ValueError(
                f"`vocabulary_size` must be room for an end and {len(characters)} characters. "
                f"Received: vocabulary_size={vocabulary_size}."
            )
        merges = _learned(lines.values(), room)
    tokens = dict.fromkeys(["", *characters, *("".join(pair) for pair in merges)])
    limit = max(len(line) for line in lines.values())
    schema = TextSchema(list(tokens), length or limit, merges)
    if length is None and merges:
        longest = max(len(schema._tokens(line)) for line in lines.values())
        schema = TextSchema(list(tokens), longest, merges)
    read = schema._read(lines, skip_bad)
    report_skipped(read.skipped, "lines")
    read, _ = shuffled(read, seed)
    return split(read, held_out, schema, Identity(raw_dtype="int32", schema=schema))


def _lines(source: Any) -> dict[str, str]:
    """Lines that are not blank, by their numbers."""
    if isinstance(source, (str, os.PathLike)):
        path = local_path(source, "source")
        try:
            data = path.read_bytes()
            text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
        except (EOFError, OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"`source` must be a text file in UTF-8, or such a .gz. Received: {path} "
                f"({error})."
            ) from error
        source = text.splitlines()
    found = {}
    for row, line in enumerate(source, 1):
        first, *others = str(line).splitlines() or [""]
        if others:
            raise ValueError(f"`source` must be single lines. Received: {line!r}.")
        if first.strip():
            found[f"line {row}"] = first
    if not found:
        raise ValueError("`source` must hold lines of text. Received: none.")
    return found


def _pieces(line: str) -> list[str]:
    """Words, each with the space before it."""
    return re.findall(" [^ ]*|[^ ]+", line)


def _learned(lines: Any, count: int) -> list[list[str]]:
    """The pairs to join: each time the most frequent one, of equal ones the first by name."""
    words = Counter(piece for line in lines for piece in _pieces(line))
    split_words = [list(word) for word in words]
    times = list(words.values())
    pairs: Counter[tuple[str, str]] = Counter()
    where: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for index, tokens in enumerate(split_words):
        for pair in itertools.pairwise(tokens):
            pairs[pair] += times[index]
            where[pair].add(index)
    queue = [(-number, pair) for pair, number in pairs.items()]
    heapq.heapify(queue)
    merges: list[list[str]] = []
    while len(merges) < count and queue:
        number, best = heapq.heappop(queue)
        if -number != pairs[best]:
            continue  # It was counted anew since.
        if -number < 2:
            break
        merges.append(list(best))
        changes: Counter[tuple[str, str]] = Counter()
        for index in where.pop(best):
            tokens = split_words[index]
            for pair in itertools.pairwise(tokens):
                changes[pair] -= times[index]
            tokens = split_words[index] = _merged(tokens, best)
            for pair in itertools.pairwise(tokens):
                changes[pair] += times[index]
                where[pair].add(index)
        for pair, change in changes.items():
            if change:
                pairs[pair] += change
                heapq.heappush(queue, (-pairs[pair], pair))
    return merges


def _merged(tokens: list[str], pair: Sequence[str]) -> list[str]:
    first, second = pair
    joined: list[str] = []
    pending = False  # Whether the last token may be the first of a pair.
    for token in tokens:
        pending = pending and token == second
        if pending:
            joined[-1] += token
            pending = False
        else:
            joined.append(token)
            pending = token == first
    return joined
