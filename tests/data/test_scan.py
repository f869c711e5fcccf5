import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from magnostic.data.images import BadFile
from magnostic.data.scan import Scanned, Unusable, decode, find_images, pixel_hash, scan
from magnostic.data.strict import strict_decoding


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(width: int, height: int, bits: int, rows: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    body = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def _fault(path) -> str:
    with pytest.raises(Unusable) as caught:
        decode(path)
    return caught.value.fault


def test_pixels_size_and_hash(tmp_path, photo) -> None:
    one, same, other = photo(tmp_path / "1.png"), tmp_path / "2.bmp", photo(tmp_path / "3.png", 1)
    Image.open(one).save(same)
    a, b, c = scan([one, same, other])
    assert a == b == Scanned(14, 10, pixel_hash(decode(one)))
    assert isinstance(c, Scanned)
    assert c.pixel_hash != a.pixel_hash


def test_hash_depends_on_the_shape() -> None:
    flat = np.zeros((2, 6, 3), np.uint8)
    assert pixel_hash(flat) != pixel_hash(flat.reshape(3, 4, 3))
    assert len(pixel_hash(flat)) == 32


@pytest.mark.parametrize("mode, suffix", [("L", "png"), ("P", "png"), ("RGBA", "png"),
                                          ("CMYK", "jpg"), ("I;16", "png")])  # fmt: skip
def test_other_modes(tmp_path, photo, mode, suffix) -> None:
    path = tmp_path / f"x.{suffix}"
    if mode == "I;16":
        Image.fromarray(np.zeros((4, 4), np.uint16)).save(path)
    else:
        photo(path, mode=mode)
    with pytest.raises(Unusable, match=rf"not RGB: its mode is {mode}; save it as 8-bit RGB"):
        decode(path)


def test_16_bits_a_channel(tmp_path) -> None:
    path = tmp_path / "deep.png"
    path.write_bytes(_png(4, 4, 16, b"".join(b"\0" + bytes(24) for _ in range(4))))
    with pytest.raises(Unusable, match="16 bits a channel"):
        decode(path)


def test_truncated(tmp_path, photo, monkeypatch) -> None:
    path = photo(tmp_path / "x.png")
    path.write_bytes(path.read_bytes()[:200])
    assert _fault(path) == "truncated"
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    (found,) = scan([path])
    assert isinstance(found, BadFile)
    assert ImageFile.LOAD_TRUNCATED_IMAGES  # another library's choice is left as it was


def test_damaged(tmp_path, photo) -> None:
    path = photo(tmp_path / "x.png")
    data = bytearray(path.read_bytes())
    data[150] ^= 255
    path.write_bytes(data)
    assert _fault(path) == "unreadable"


def test_no_image_at_all(tmp_path) -> None:
    text, binary, empty = (tmp_path / f"{n}.png" for n in ("text", "binary", "empty"))
    text.write_text("größer als nichts")
    binary.write_bytes(bytes(range(256)))
    empty.touch()
    with pytest.raises(Unusable, match=r"not an image: \.png by name, but it holds text"):
        decode(text)
    with pytest.raises(Unusable, match="no image format that is read here"):
        decode(binary)
    assert _fault(empty) == "empty file"
    assert _fault(tmp_path / "gone.png") == "missing"
    folder = tmp_path / "folder.png"
    folder.mkdir()
    assert _fault(folder) == "unreadable"


def test_a_circle_of_links_is_gone_through_once(tmp_path, photo) -> None:
    photo(tmp_path / "a" / "x.png")
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    assert find_images(tmp_path) == [tmp_path / "a" / "x.png"]


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_several_frames(tmp_path, suffix) -> None:
    frames = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in (0, 90, 180)]
    path = tmp_path / f"x.{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert _fault(path) == "animated"


@pytest.mark.parametrize("side", [13_400, 60_000])  # above the limit, and above twice the limit
def test_a_decompression_bomb_is_not_decoded(tmp_path, side) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(_png(side, side, 8, b""))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = scan([path])
    assert isinstance(found, BadFile)
    assert found.fault == "too large"


def test_find_images_passes_over_what_is_hidden_or_no_image(tmp_path, photo) -> None:
    wanted = [photo(tmp_path / "a" / "x.PNG"), photo(tmp_path / "b" / "y.jpg")]
    photo(tmp_path / ".cache" / "z.png")
    (tmp_path / "a" / "._x.png").touch()
    (tmp_path / "readme.txt").touch()
    assert find_images(tmp_path) == wanted


@pytest.mark.parametrize("suffix", ["png", "jpg", "tiff", "bmp", "webp"])
def test_content_is_decoded_as_its_file_is(tmp_path, suffix) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    path = tmp_path / f"x.{suffix}"
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(decode(path.read_bytes()), decode(path))
    for cut in (path.read_bytes()[:n] for n in (0, 10, path.stat().st_size // 2)):
        path.write_bytes(cut)
        with pytest.raises(Unusable) as caught:
            decode(cut)
        assert caught.value.fault == _fault(path)


def test_content_of_formats_that_run_programs_is_not_opened(tmp_path) -> None:
    path = tmp_path / "x.eps"
    Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(Unusable, match="not an image: it holds text; send a PNG, JPEG"):
        decode(path.read_bytes())
    path = tmp_path / "x.ppm"
    Image.new("RGB", (8, 8), (1, 200, 255)).save(path)
    with pytest.raises(Unusable, match="not an image: it holds no image format"):
        decode(path.read_bytes())


def test_strict_also_where_another_thread_is_inside(tmp_path, photo, monkeypatch) -> None:
    path = photo(tmp_path / "x.jpg")
    path.write_bytes(path.read_bytes()[:-40])
    with strict_decoding():
        monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
        (found,) = scan([path])
        assert isinstance(found, BadFile)


def _jpeg(width: int, height: int, side: int = 64) -> bytes:
    """A JPEG of a small square whose header tells of another size."""
    out = io.BytesIO()
    Image.fromarray(np.zeros((side, side, 3), np.uint8)).save(out, "JPEG")
    data = bytearray(out.getvalue())
    struct.pack_into(">HH", data, data.find(b"\xff\xc0") + 5, height, width)
    return bytes(data)


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_a_few_bytes_that_claim_many_pixels(tmp_path, kind) -> None:
    """Without a look at the length a JPEG is filled up with grey: seconds and gigabytes."""
    path = tmp_path / f"hollow.{kind}"
    content = _jpeg(12_000, 12_000) if kind == "jpg" else _png(12_000, 12_000, 8, bytes(500))
    path.write_bytes(content)
    for source in (path, content):
        with (
            strict_decoding(),
            pytest.raises(Unusable, match=r"truncated: .* cannot hold 12000x12000 pixels"),
        ):
            decode(source)


def test_one_colour_is_not_taken_for_hollow(tmp_path) -> None:
    for name in ("white.png", "white.jpg"):
        Image.new("RGB", (3000, 3000), "white").save(tmp_path / name, optimize=True)
        assert decode(tmp_path / name).shape == (3000, 3000, 3)
    Image.new("RGB", (3000, 3000), "white").save(tmp_path / "p.jpg", progressive=True, quality=1)
    assert decode(tmp_path / "p.jpg").shape == (3000, 3000, 3)


@pytest.mark.parametrize("kind", ["EPS", "PPM", "TGA", "PCX", "ICNS", "JPEG2000"])
def test_formats_that_run_programs_or_read_files_are_not_opened(
    tmp_path, kind, monkeypatch
) -> None:
    """PostScript is the one that matters: Pillow would have Ghostscript run it."""
    ran = []
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: ran.append(1))
    path = tmp_path / "x.png"
    Image.new("RGB", (32, 32)).save(path, kind)
    assert _fault(path) == "not an image"
    assert not ran


def test_memory_that_does_not_suffice(tmp_path, photo, monkeypatch) -> None:
    path = photo(tmp_path / "x.jpg")

    def load(_):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    assert _fault(path) == "too large"


def test_an_animation_cut_off(tmp_path) -> None:
    """Pillow raises an IndexError when it counts the frames."""
    frames = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in (0, 90, 180)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    path = tmp_path / "x.png"
    for end in range(len(out.getvalue())):
        path.write_bytes(out.getvalue()[:end])
        assert _fault(path)


@pytest.mark.parametrize("rows", range(1, 60, 4))
def test_a_directory_at_any_place_of_a_tiff(tmp_path, rows) -> None:
    """Numbers that Pillow keeps beside the pixels' form were taken for 16 bits if they had 16."""
    pixels = np.random.default_rng(0).integers(0, 256, (rows, 40, 3), dtype=np.uint8)
    path = tmp_path / "x.tif"
    Image.fromarray(pixels).save(path, compression="tiff_lzw")
    np.testing.assert_array_equal(decode(path), pixels)


def test_links_in_a_circle_end(tmp_path, photo) -> None:
    one = photo(tmp_path / "a" / "x.png")
    for name in "bcdef":  # each followed again from each other
        (tmp_path / "a" / name).symlink_to(tmp_path)
    assert find_images(tmp_path) == [one]
