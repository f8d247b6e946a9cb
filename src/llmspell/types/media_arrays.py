"""Media as PIL's images and numpy's arrays, and out of them. Either is imported where it is used, and not before."""

from __future__ import annotations

import io
import struct
import zlib
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmspell.errors import NotSupportedError, ValidationError, one_line
from llmspell.types.media_formats import ImageFormat

if TYPE_CHECKING:
    from types import ModuleType

    from llmspell.types.media_content import MediaContent

__all__ = ["of_array", "of_pil", "of_samples", "to_array", "to_pil", "to_samples"]

MOST_PIXELS = 1 << 28  # of an image that is decoded: 1 GiB as RGBA
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLORS = {1: 0, 3: 2, 4: 6}  # channels: a PNG's color type
_WRITES = {ImageFormat.PNG, ImageFormat.JPEG, ImageFormat.GIF, ImageFormat.WEBP, ImageFormat.BMP, ImageFormat.TIFF}


def _needed(module: str, package: str, what: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise NotSupportedError(
            f"{what} needs {package}, which is not installed", hint=f"`pip install {package}`", cause=error
        ) from None


def _numpy() -> Any:
    return _needed("numpy", "numpy", "an array")


def _image_format(format: ImageFormat | str) -> ImageFormat:
    found = format if isinstance(format, ImageFormat) else ImageFormat.from_name(format)
    if found not in _WRITES:
        raise NotSupportedError(f"an image cannot be written as {found.value}", hint="png holds any")
    return found


# ---- PIL


def of_pil(image: Any, format: ImageFormat | str) -> bytes:
    """The bytes of a PIL image in that format. Raises ValidationError where it cannot hold it."""
    pil = _needed("PIL.Image", "pillow", "an image of PIL")
    found = _image_format(format)
    if not isinstance(image, pil.Image):
        raise ValidationError(f"`MediaContent.from_pil` takes an image of PIL, not a {type(image).__name__}")
    target = io.BytesIO()
    try:
        image.save(target, found.value)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValidationError(
            f"the image, of mode {one_line(str(image.mode), 20)}, cannot be written as {found.value}: "
            f"{one_line(str(error), 120)}",
            hint='convert it first: `image.convert("RGB")`',
        ) from None
    return target.getvalue()


def _check_pixels(content: MediaContent) -> None:
    """Raises ValidationError for what is no image, or would take too much memory: a small file may say any size."""
    if content.kind != "image":
        raise ValidationError(f"an array or an image of PIL is made of an image, and this is {content.mime_type}")
    told = content.metadata
    width, height = getattr(told, "width", None) or 0, getattr(told, "height", None) or 0
    if width * height > MOST_PIXELS:
        raise ValidationError(f"the image has {width} by {height} pixels; at most {MOST_PIXELS} are decoded")


def to_pil(content: MediaContent) -> Any:
    """The decoded image."""
    _check_pixels(content)
    pil = _needed("PIL.Image", "pillow", "an image of PIL")
    try:
        with content.open() as file:
            image = pil.open(file)
            if image.width * image.height > MOST_PIXELS:
                raise ValidationError(f"the image has {image.width} by {image.height} pixels, too many to be decoded")
            image.load()
            return image
    except (ValidationError, NotSupportedError):
        raise
    except pil.UnidentifiedImageError:
        raise NotSupportedError(f"PIL does not read {content.mime_type}") from None
    except (pil.DecompressionBombError, pil.DecompressionBombWarning):
        raise ValidationError("the image has too many pixels to be decoded") from None
    except Exception as error:  # decoders of broken files raise whatever they come upon
        raise ValidationError(f"the image is broken: {one_line(str(error), 120)}") from None


# ---- images of arrays


def of_array(array: Any, format: ImageFormat | str) -> bytes:
    """The bytes of an image, of an array of uint8: height × width, × 3 or × 4."""
    numpy = _numpy()
    found = _image_format(format)
    if not isinstance(array, numpy.ndarray) or array.dtype != numpy.uint8:
        what = f"an array of {array.dtype}" if isinstance(array, numpy.ndarray) else f"a {type(array).__name__}"
        raise ValidationError(f"`MediaContent.from_array` takes an array of uint8, not {what}")
    shape = array.shape
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))) or 0 in shape:
        told = " × ".join(map(str, shape)) or "one value"
        raise ValidationError(f"an image's array is height × width, × 3 or × 4, and this one is {told}")
    if shape[0] * shape[1] > MOST_PIXELS:
        raise ValidationError(f"the image has {shape[1]} by {shape[0]} pixels; at most {MOST_PIXELS} are taken")
    array = numpy.ascontiguousarray(array)
    if found is ImageFormat.PNG:
        return _png(numpy, array)
    pil = _needed("PIL.Image", "pillow", f"an image of {found.value}")
    return of_pil(pil.fromarray(array.reshape(shape[:2]) if array.size == shape[0] * shape[1] else array), found)


def _png(numpy: Any, array: Any) -> bytes:
    height, width = array.shape[:2]
    channels = array.shape[2] if array.ndim == 3 else 1
    rows = numpy.zeros((height, 1 + width * channels), numpy.uint8)  # each begins with its filter: none
    rows[:, 1:] = array.reshape(height, width * channels)
    head = struct.pack(">IIBBBBB", width, height, 8, _COLORS[channels], 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 6)), (b"IEND", b""))
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in parts
    )


def to_array(content: MediaContent) -> Any:
    """An array of uint8: height × width, × 3 or × 4."""
    _check_pixels(content)
    numpy = _numpy()
    try:
        image = to_pil(content)
    except NotSupportedError:
        if content.format is not ImageFormat.PNG:
            raise
        return _of_png(numpy, content)
    if image.mode in ("LA", "PA") or (image.mode == "P" and "transparency" in image.info):
        image = image.convert("RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode in ("I", "F") or image.mode.startswith("I;16"):
        raise NotSupportedError(f"an image of mode {image.mode} has more than 8 bits a channel", hint="take `to_pil`")
    elif image.mode not in ("L", "RGB", "RGBA"):
        image = image.convert("RGB")
    return numpy.array(image, dtype=numpy.uint8)


def _of_png(numpy: Any, content: MediaContent) -> Any:
    """What PNGs of arrays are, without PIL: 8 bits, no palette, not interlaced, of filters that need no loop a byte."""
    data = content.to_bytes()
    at, body = 8, []
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    channels = {0: 1, 2: 3, 6: 4}.get(color, 0)
    if depth != 8 or not channels or interlaced:
        raise _not_plain()
    while at + 12 <= len(data):
        length, name = struct.unpack(">I4s", data[at : at + 8])
        if name == b"IDAT":
            body.append(data[at + 8 : at + 8 + length])
        at += 12 + length
    stride = 1 + width * channels
    try:
        raw = zlib.decompressobj().decompress(b"".join(body), height * stride)
    except zlib.error as error:
        raise ValidationError(f"the image is broken: {error}") from None
    if len(raw) != height * stride:
        raise ValidationError("the image is broken: it has fewer rows than its head says")
    rows = numpy.frombuffer(raw, numpy.uint8).reshape(height, stride)
    return _unfiltered(numpy, rows, width, channels)


def _unfiltered(numpy: Any, rows: Any, width: int, channels: int) -> Any:
    height = rows.shape[0]
    made = rows[:, 1:].reshape(height, width, channels).copy()
    for row, kind in enumerate(rows[:, 0].tolist()):
        if kind == 1:
            numpy.add.accumulate(made[row], axis=0, out=made[row])
        elif kind == 2 and row:
            made[row] += made[row - 1]
        elif kind > 2:
            raise _not_plain()
    return made if channels > 1 else made[:, :, 0]


def _not_plain() -> NotSupportedError:
    return NotSupportedError("to decode this PNG needs pillow, which is not installed", hint="`pip install pillow`")


# ---- sound


def of_samples(samples: Any, sample_rate: int) -> bytes:
    """A WAV of an array: samples, or samples × channels."""
    import wave

    numpy = _numpy()
    if not isinstance(samples, numpy.ndarray) or samples.ndim not in (1, 2) or 0 in samples.shape:
        raise ValidationError("`MediaContent.from_samples` takes an array of samples, or of samples × channels")
    if isinstance(sample_rate, bool) or not isinstance(sample_rate, int) or not 0 < sample_rate < 1 << 32:
        raise ValidationError(
            f"the rate of samples must be a whole number of Hz, not {one_line(repr(sample_rate), 40)}"
        )
    channels = samples.shape[1] if samples.ndim == 2 else 1
    if channels > 64:
        raise ValidationError(
            f"sound of {channels} channels is not taken", hint="the array is samples × channels: transpose it"
        )
    if samples.dtype.kind == "f":
        if not numpy.isfinite(samples).all():
            raise ValidationError("the samples are not all numbers")
        samples = numpy.rint(numpy.clip(samples, -1.0, 1.0) * 32767).astype(numpy.int16)
    if samples.dtype.str[1:] not in ("u1", "i2", "i4"):
        raise ValidationError(f"samples are uint8, int16, int32 or floats, not {samples.dtype}")
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(samples.dtype.itemsize)
        file.setframerate(sample_rate)
        file.writeframes(samples.astype(samples.dtype.newbyteorder("<")).tobytes())
    return target.getvalue()


def to_samples(content: MediaContent) -> tuple[Any, int]:
    """The samples × channels of a WAV of PCM, and their rate in Hz."""
    import wave

    if content.mime_type != "audio/wav":
        raise NotSupportedError(f"samples are read of WAV alone, and this is {content.mime_type}")
    numpy = _numpy()
    with content.open() as source:
        try:
            with wave.open(source, "rb") as file:
                channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
                raw = file.readframes(file.getnframes())
        except (wave.Error, EOFError) as error:
            told = one_line(str(error), 80) or "it ends too early"
            if told.startswith("unknown format"):
                raise NotSupportedError(f"samples are read of PCM alone: {told}") from None
            raise ValidationError(f"the sound is broken: {told}") from None
    if width not in (1, 2, 3, 4):
        raise NotSupportedError(f"samples of {8 * width} bits are not read")
    raw = raw[: len(raw) - len(raw) % (width * channels)]
    if width == 3:
        padded = numpy.zeros((len(raw) // 3, 4), numpy.uint8)
        padded[:, 1:] = numpy.frombuffer(raw, numpy.uint8).reshape(-1, 3)
        flat = padded.reshape(-1).view("<i4")
    else:
        flat = numpy.frombuffer(raw, {1: "u1", 2: "<i2", 4: "<i4"}[width])
    return flat.reshape(-1, channels), rate
