"""Images from folders of files.

Floor 3.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.arguments import require_one_of
from keras_vae.component import register
from keras_vae.core.atomic_io import writing
from keras_vae.data.schema import (
    Read,
    Schema,
    files_in,
    folders,
    is_array,
    load_array,
    report_skipped,
    room,
)
from keras_vae.data.source import Source, shuffled, split
from keras_vae.preprocessors import Rescaling
from keras_vae.progress import tracked

__all__ = ["ImageSchema", "from_images"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
# Read at a time: bounds what is in memory beside the array.
_TOGETHER = 256
# Images that tell whether all are black and white.
_LOOKED_AT = 10_000


@register("data")
class ImageSchema(Schema):
    """8-bit images of one size.

    Args:
        height: In pixels.
        width: In pixels.
        channels: 1 or 3.
        binary: Whether all values are 0 or 255. Defaults to `False`.
        resize: Whether images of other sizes are scaled to this one, and of other channels
            converted. Defaults to `False`: they are bad.

    Raises:
        ValueError: If `channels` is neither 1 nor 3.

    Example:
    >>> keras_vae.data.ImageSchema(28, 28, 1).event_shape
    (28, 28, 1)
    """

    kind = "images"

    def __init__(
        self, height: int, width: int, channels: int, binary: bool = False, resize: bool = False
    ) -> None:
        require_one_of("channels", channels, (1, 3))
        self.height = height
        self.width = width
        self.channels = channels
        self.binary = binary
        self.resize = resize

    @property
    def event_shape(self) -> tuple[int, ...]:
        return (self.height, self.width, self.channels)

    def suffixes(self) -> tuple[str, ...]:
        return ("", ".png", ".npy")

    def read(self, source: Any, skip_bad: bool = False) -> Read:
        if is_array(source):
            return self._of_array(source)
        files = files_in(source, _SUFFIXES, "images")
        x = room((len(files), *self.event_shape), "uint8")
        count = 0
        with ThreadPoolExecutor() as pool:

            def keep(start: int) -> list[tuple[Path, str | None]]:
                nonlocal count
                group = files[start : start + _TOGETHER]
                verdicts = []
                for path, found in zip(group, pool.map(self._decoded, group)):
                    bad = found if isinstance(found, str) else None
                    if bad is None:
                        x[count] = found
                        count += 1
                    elif not skip_bad:
                        raise ValueError(f"{bad} Or leave out such images: skip_bad=True.")
                    verdicts.append((path, bad))
                return verdicts

            starts = range(0, len(files), _TOGETHER)
            verdicts = [
                verdict
                for start in tracked(starts, "Reading" if len(starts) > 1 else None)
                for verdict in keep(start)
            ]
        rows = np.array([row for row, (_, bad) in enumerate(verdicts) if bad is None], "int64")
        used = [verdicts[row][0] for row in rows]
        if not used:
            raise ValueError(f"`source` holds no good image. Received: {verdicts[0][1]}")
        skipped = {str(path): bad for path, bad in verdicts if bad is not None}
        return Read(x[:count], [str(p) for p in used], folders(used), skipped, rows)

    def write(
        self, x: np.ndarray, path: str | os.PathLike[str], like: Read | None = None
    ) -> Path:
        """Write images: a folder of `.png`, a sheet of all in one `.png`, or `.npy`."""
        target = self.checked(path)
        if target.suffix not in ("", ".png"):
            return super().write(x, path, like)
        pixels = np.clip(np.rint(np.asarray(x, "float64")), 0, 255).astype("uint8")
        with writing(target, folder=not target.suffix) as draft:
            if target.suffix:
                draft.write_bytes(tf.io.encode_png(_sheet(pixels)).numpy())
            else:
                for index, image in enumerate(pixels):
                    name = draft / f"{index:05d}.png"
                    name.write_bytes(tf.io.encode_png(image).numpy())
        return target

    def _decoded(self, path: Path) -> Any:
        """The image, or what is wrong with it."""
        try:
            image = _decode(path)
        except ValueError as error:
            return str(error)
        if image.shape == self.event_shape:
            return image
        if not self.resize:
            return (
                f"Images must be of one size and colour, {self.event_shape}. Received: {path}, "
                f"which is {image.shape}. Pass size=(height, width) and channels=1 or 3 to "
                f"bring all to one."
            )
        return _converted(image, self.event_shape)

    def _of_array(self, source: Any) -> Read:
        x = load_array(source) if isinstance(source, (str, os.PathLike)) else source
        x = x[..., None] if x.ndim == 3 else x
        if x.dtype != np.uint8 or x.shape[1:] != self.event_shape or not len(x):
            raise ValueError(
                f"`source` as an array must be uint8 of shape (examples, "
                f"{', '.join(map(str, self.event_shape))}). Received: {x.dtype}, {x.shape}."
            )
        return Read(x, [str(index) for index in range(len(x))], None, {})


def from_images(
    source: Any,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    held_out: float = 0.1,
    seed: int = 0,
    skip_bad: bool = False,
) -> Source:
    """Load images from a folder, a list of files, or an array of bytes.

    Files are PNG, JPEG, BMP or GIF (the first picture), decoded once to 8 bits. More than 1 GiB
    of them is kept in a temporary file on disk, not in memory. Folders within the folder are
    classes, if all images are in such. What is held out is chosen by chance, but of a
    memory-mapped array it is the end.

    Args:
        source: A folder, paths of files, a `.npy` file, `.npz` with x, or an array, uint8
            `[examples, height, width]` or `[examples, height, width, channels]`.
        size: Height and width that all are scaled to. Defaults to `None`: the first image's,
            and another is bad.
        channels: 1 or 3, that all are converted to. Defaults to `None`: the first image's, and
            another is bad.
        held_out: Share that is not trained on. Defaults to `0.1`.
        seed: Of the choice of those. Defaults to `0`.
        skip_bad: Whether to leave out, with a warning, what cannot be decoded or does not fit.
            Defaults to `False`: it is an error.

    Returns:
        A `Source` of raw values 0 .. 255; its preprocessor divides by 255.

    Raises:
        ValueError: If there are no images, a bad one, or an option is out of range.

    Example:
    >>> import os, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> for index in range(10):
    ...     image = np.full([8, 8, 1], 20 * index, "uint8")
    ...     path = os.path.join(folder, f"{index}.png")
    ...     keras.utils.save_img(path, image, scale=False)
    >>> keras_vae.data.from_images(folder)
    <Source of images: 9 to train on, 1 held out, (8, 8, 1), 0 left out>
    """
    if is_array(source):
        x = load_array(source) if isinstance(source, (str, os.PathLike)) else source
        resize, shape = False, (*x.shape[1:], *[1] * (x.ndim == 3))
    else:
        files = files_in(source, _SUFFIXES, "images")
        resize = size is not None or channels is not None
        shape = _first_shape(files, size, channels)
        order = np.random.default_rng(seed).permutation(len(files))
        source = [files[index] for index in order]
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise ValueError(
            f"`source` must hold images of 1 or 3 channels. Received: shape {shape}."
        )
    read = ImageSchema(*shape, resize=resize).read(source, skip_bad)
    report_skipped(read.skipped, "images")
    if is_array(source) and not isinstance(read.x, np.memmap):
        read, _ = shuffled(read, seed)
    binary = bool(np.isin(read.x[:_LOOKED_AT], (0, 255)).all())
    schema = ImageSchema(*shape, binary=binary, resize=resize)
    return split(read, held_out, schema, Rescaling(raw_dtype="uint8", schema=schema))


def _decode(path: Path) -> np.ndarray:
    try:
        image = tf.io.decode_image(path.read_bytes(), expand_animations=False)
    except (OSError, tf.errors.OpError) as error:
        raise ValueError(f"{path} is no image, or is damaged.") from error
    # Of what can be seen through, the colour.
    colour: np.ndarray = image.numpy()[..., : {1: 1, 2: 1, 3: 3, 4: 3}[image.shape[-1]]]
    return colour


def _first_shape(
    files: Sequence[Path], size: tuple[int, int] | None, channels: int | None
) -> tuple[int, ...]:
    """What `size` and `channels` say, and otherwise the first image that can be decoded."""
    for path in files:
        try:
            found = _decode(path).shape
        except ValueError:
            continue
        return (*(size or found[:2]), channels or found[2])
    raise ValueError(f"`source` holds no image that can be decoded. Received: {files[0]} ...")


def _converted(image: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    values = tf.cast(image, "float32")
    if shape[-1] < image.shape[-1]:
        values = tf.image.rgb_to_grayscale(values)
    elif shape[-1] > image.shape[-1]:
        values = tf.image.grayscale_to_rgb(values)
    values = tf.image.resize(values, shape[:2], antialias=True)
    pixels: np.ndarray = np.clip(np.rint(values), 0, 255).astype("uint8")
    return pixels


def _sheet(images: np.ndarray) -> np.ndarray:
    """Images beside and below each other, as square as can be."""
    count, height, width, channels = images.shape
    across = int(np.ceil(np.sqrt(count)))
    down = -(-count // across)
    sheet = np.zeros((down * across, height, width, channels), "uint8")
    sheet[:count] = images
    rows = sheet.reshape(down, across, height, width, channels).swapaxes(1, 2)
    joined: np.ndarray = rows.reshape(down * height, across * width, channels)
    return joined
