"""Bytes and characters of text tables: compression, byte order marks, encodings.

Floor 3.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any

__all__ = ["compress", "decode", "decompress"]

# Longer marks first: that of UTF-32 begins like that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DAMAGED = (OSError, EOFError, ValueError, lzma.LZMAError, zipfile.BadZipFile, zlib.error)
# Bytes by which UTF-16 without a mark is recognised, and the share of zeros among them.
_SAMPLE, _ZEROS = 4096, 0.3


def decompress(path: Path, suffix: str) -> bytes:
    """Return the content of a file.

    Args:
        path: Path of the file.
        suffix: Ending of its compression; `""` if it has none.

    Raises:
        ImportError: If zstandard is needed and not installed.
        ValueError: If the file is damaged, or a `.zip` of several files.
    """
    content = path.read_bytes()
    try:
        if suffix == ".zip":
            return _only_member(content, path)
        if suffix == ".zst":
            with _zstandard(path).ZstdDecompressor().stream_reader(content) as stream:
                return bytes(stream.read())
        modules: dict[str, Any] = {".gz": gzip, ".bz2": bz2, ".xz": lzma}
        return bytes(modules[suffix].decompress(content)) if suffix else content
    except _SeveralError:
        raise
    except Exception as error:
        if not isinstance(error, _DAMAGED) and type(error).__name__ != "ZstdError":
            raise
        raise ValueError(
            f"`source` must be a {suffix} file that is whole. Received: {path} ({error})."
        ) from error


def compress(content: bytes, path: Path, suffix: str) -> bytes:
    """Return the content of a file, compressed.

    Args:
        content: Bytes to compress.
        path: Path of the file; a `.zip` file names its member by it.
        suffix: Ending of the compression; `""` for none.
    """
    if suffix == ".gz":
        return gzip.compress(content, mtime=0)
    if suffix == ".zip":
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(path.stem, content)
        return stream.getvalue()
    if suffix == ".zst":
        return bytes(_zstandard(path).ZstdCompressor().compress(content))
    modules: dict[str, Any] = {".bz2": bz2, ".xz": lzma}
    return bytes(modules[suffix].compress(content)) if suffix else content


def decode(content: bytes) -> tuple[str, str, bytes, str | None]:
    """Decode text of an unknown encoding.

    A byte order mark decides; then UTF-16 by its zero bytes; then UTF-8 if it is valid. What
    remains is read as Windows-1252, or Latin-1 if it has bytes that are not defined there.

    Args:
        content: Bytes of the text.

    Returns:
        The text, the name of the codec, the byte order mark, and a note if the encoding is a
        guess.
    """
    for mark, codec in _MARKS:
        if content.startswith(mark):
            return _strictly(content, mark, codec), codec, mark, None
    guess = _sixteen_bits(content[:_SAMPLE])
    names = {"cp1252": "Windows-1252", "latin-1": "Latin-1"}
    for codec in [*([] if guess is None else [guess]), "utf-8", *names]:
        try:
            text = content.decode(codec)
        except UnicodeDecodeError:
            continue
        note = "It is not UTF-8 and was read as {}; if words look wrong, save it as UTF-8"
        return text, codec, b"", note.format(names[codec]) if codec in names else None
    raise AssertionError("Latin-1 decodes all bytes")


def _strictly(content: bytes, mark: bytes, codec: str) -> str:
    try:
        return content[len(mark) :].decode(codec)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"A text with the byte order mark of {codec} must be so to the end. Received: "
            f"{error.reason} at byte {error.start + len(mark)}. Save it again as UTF-8."
        ) from error


def _sixteen_bits(sample: bytes) -> str | None:
    sample = sample[: len(sample) // 2 * 2]
    if not sample:
        return None
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    few = _ZEROS * len(sample) / 2
    if odd > few and not even:
        return "utf-16-le"
    return "utf-16-be" if even > few and not odd else None


class _SeveralError(ValueError):
    pass


def _only_member(content: bytes, path: Path) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = [
            name
            for name in archive.namelist()
            if not name.endswith("/") and not name.startswith("__MACOSX/")
        ]
        if len(names) != 1:
            raise _SeveralError(
                f"`source` must be a .zip file of one table. Received: {path}, which holds "
                f"{len(names)} files: {names[:3]}. Extract the one to read."
            )
        return archive.read(names[0])


def _zstandard(path: Path) -> Any:
    try:
        import zstandard
    except ImportError as error:
        raise ImportError(
            f"{path} needs zstandard. Install it: pip install zstandard."
        ) from error
    return zstandard
