"""Whole image files to spoil: one synthetic photograph in many encodings; the genuine ones too."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from _material import SAMPLE
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from magnostic.data.png import SIGNATURE


@dataclass(frozen=True)
class Base:
    """One whole file.

    Attributes:
        kind: ``png``, ``jpg``, ``tif``, ``gif``, ``bmp`` or ``webp``, also the ending of its name.
        name: of the encoding.
        data: the content.
        pixels: uint8 [H, W, 3] that must be read from it; None where nothing exact is known, or it
            must be refused.
    """

    kind: str
    name: str
    data: bytes
    pixels: NDArray[np.uint8] | None = None


@cache
def bases() -> tuple[Base, ...]:
    """Every whole file, the same on each call and machine."""
    return (*_synthetic(), *_genuine())


def of_kind(kind: str) -> list[Base]:
    return [base for base in bases() if base.kind == kind]


def photograph(width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """Drawn tissue: a piece of one field of the phantom."""
    from magnostic.data.phantom import phantom_slides, render_field

    slide = phantom_slides(seed=0, patients_per_type=1)[0]
    field = render_field(slide, 400, 1)
    return np.ascontiguousarray(field.rgb[100 : 100 + height, 100 : 100 + width])


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file, its checksum right."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, stream: bytes, *more: bytes, colour: int = 2) -> bytes:
    """An 8-bit PNG that claims this size, around a compressed stream."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return SIGNATURE + header + b"".join(more) + chunk(b"IDAT", stream) + chunk(b"IEND", b"")


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _synthetic() -> list[Base]:
    pixels = photograph()
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "synthetic"
    profile = np.random.default_rng(0).bytes(600)
    told = PngImagePlugin.PngInfo()
    told.add_text("Title", "synthetic")
    told.add_text("Comment", "c" * 500, zip=True)
    told.add_itxt("Author", "nobody", "en", "Autor", zip=True)
    frames = [image.rotate(90 * n) for n in range(3)]

    def base(kind: str, name: str, data: bytes, exact: bool = False) -> Base:
        return Base(kind, name, data, pixels if exact else None)

    return [
        base("png", "plain", _saved(image, "PNG"), exact=True),
        base("png", "texts and profile", _saved(image, "PNG", pnginfo=told, icc_profile=profile,
                                                exif=exif, dpi=(300, 300)), exact=True),
        base("png", "stored", _saved(image, "PNG", compress_level=0), exact=True),
        base("png", "palette", _saved(image.quantize(16), "PNG")),
        base("png", "transparent", _saved(image.convert("RGBA"), "PNG")),
        base("png", "grey", _saved(image.convert("L"), "PNG")),
        base("png", "16 bit", _saved(Image.fromarray(pixels[..., 0].astype(np.uint16) * 256),
                                     "PNG")),
        base("png", "animated", _saved(frames[0], "PNG", save_all=True, append_images=frames[1:])),
        base("png", "interlaced", _interlaced(pixels), exact=True),
        base("jpg", "baseline", _saved(image, "JPEG", quality=90)),
        base("jpg", "progressive", _saved(image, "JPEG", quality=60, progressive=True)),
        base("jpg", "full colour, exif, profile", _saved(image, "JPEG", subsampling=0, exif=exif,
                                                         icc_profile=profile, comment=b"hello")),
        base("jpg", "restarts", _saved(image, "JPEG", restart_marker_blocks=3)),
        base("jpg", "grey", _saved(image.convert("L"), "JPEG")),
        base("jpg", "CMYK", _saved(image.convert("CMYK"), "JPEG")),
        base("jpg", "several pictures", _saved(frames[0], "MPO", save_all=True,
                                               append_images=frames[1:])),
        base("tif", "raw", _saved(image, "TIFF"), exact=True),
        base("tif", "LZW", _saved(image, "TIFF", compression="tiff_lzw"), exact=True),
        base("tif", "deflate", _saved(image, "TIFF", compression="tiff_adobe_deflate"), exact=True),
        base("tif", "packbits", _saved(image, "TIFF", compression="packbits"), exact=True),
        base("tif", "JPEG", _saved(image, "TIFF", compression="jpeg")),
        base("tif", "palette", _saved(image.quantize(16), "TIFF")),
        *[base("tif", name, data) for name, data in _tiffs(pixels).items()],
        base("gif", "still", _saved(image.quantize(64), "GIF")),
        base("gif", "animated", _saved(frames[0], "GIF", save_all=True, append_images=frames[1:],
                                       loop=0)),
        base("bmp", "24 bit", _saved(image, "BMP"), exact=True),
        base("bmp", "palette", _saved(image.quantize(16), "BMP")),
        base("bmp", "32 bit", _saved(image.convert("RGBA"), "BMP")),
        base("bmp", "run lengths", _rle(64, 48)),
        base("webp", "lossy", _saved(image, "WEBP", quality=80)),
        base("webp", "lossless", _saved(image, "WEBP", lossless=True), exact=True),
        base("webp", "profile", _saved(image, "WEBP", lossless=True, icc_profile=profile,
                                       exif=exif.tobytes()), exact=True),
        base("webp", "transparent", _saved(image.convert("RGBA"), "WEBP")),
        base("webp", "animated", _saved(frames[0], "WEBP", save_all=True,
                                        append_images=frames[1:])),
    ]  # fmt: skip


def _tiffs(pixels: NDArray[np.uint8]) -> dict[str, bytes]:
    """Forms that Pillow does not write."""
    try:
        import tifffile
    except ImportError:
        return {}
    forms: dict[str, dict[str, Any]] = {
        "tiles": {"tile": (16, 16), "photometric": "rgb"},
        "tiles, deflate": {"tile": (32, 32), "photometric": "rgb", "compression": "zlib"},
        "BigTIFF": {"bigtiff": True, "photometric": "rgb"},
        "big-endian": {"byteorder": ">", "photometric": "rgb"},
        "planes": {"planarconfig": "separate", "photometric": "rgb"},
        "predictor": {"predictor": True, "compression": "zlib", "photometric": "rgb"},
    }
    made = {}
    for name, options in forms.items():
        data = np.moveaxis(pixels, 2, 0) if name == "planes" else pixels
        out = io.BytesIO()
        tifffile.imwrite(out, np.ascontiguousarray(data), metadata=None, **options)
        made[name] = out.getvalue()
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:
        for turn in range(3):
            writer.write(np.rot90(pixels, turn), photometric="rgb", metadata=None)
    made["pages"] = out.getvalue()
    out = io.BytesIO()
    with tifffile.TiffWriter(out) as writer:  # a pyramid with a scale, as a small slide
        writer.write(pixels, tile=(16, 16), photometric="rgb", subifds=0, metadata=None)
        for step in (2, 4):
            writer.write(pixels[::step, ::step], tile=(16, 16), photometric="rgb", subfiletype=1)
    made["pyramid"] = out.getvalue()
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, tile=(16, 16), photometric="rgb", metadata=None,
                     description="Aperio Image Library v11.2.1 \r\n96x64 [0,0 96x64] (16x16) "
                                 "JPEG/RGB Q=70|AppMag = 40|MPP = 0.25")  # fmt: skip
    made["Aperio"] = out.getvalue()
    return made


def _interlaced(pixels: NDArray[np.uint8]) -> bytes:
    """Adam7: seven passes, each row without a filter."""
    height, width = pixels.shape[:2]
    rows = bytearray()
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
              (1, 0, 2, 1))  # fmt: skip
    for top, left, down, along in passes:
        for row in pixels[top::down, left::along]:
            rows += b"\0" + row.tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(rows)))
    return SIGNATURE + body + chunk(b"IEND", b"")


def _rle(width: int, height: int) -> bytes:
    """An 8-bit BMP of run lengths."""
    body = b"".join(bytes((width, row % 4)) + b"\0\0" for row in range(height)) + b"\0\1"
    palette = b"".join(bytes((60 * n, 30 * n, 50 * n, 0)) for n in range(4))
    start = 14 + 40 + len(palette)
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(body), 2835, 2835, 4, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + palette + body


def _genuine() -> list[Base]:
    found = sorted(SAMPLE.rglob("*.png")) if SAMPLE.is_dir() else []
    made = []
    for path in found[:: max(1, len(found) // 4)][:4]:
        with Image.open(path) as image:
            whole = image.convert("RGB")
        part = whole.crop((0, 0, 160, 120))
        made += [
            Base("png", "genuine", path.read_bytes(), np.asarray(whole)),
            Base("jpg", "genuine", _saved(part, "JPEG", quality=92)),
            Base("tif", "genuine", _saved(part, "TIFF"), np.asarray(part)),
            Base("webp", "genuine", _saved(part, "WEBP", quality=90)),
        ]
    return made
