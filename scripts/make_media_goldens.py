#!/usr/bin/env python3
"""Makes tests/goldens/media.json: small picture files and what Pillow reads from them as diffusers' load_image does
(exif_transpose, convert("RGB")), and hashes of its Lanczos. Needs Pillow and numpy alone. And tests/goldens/compare.json
(goldens/compare_cases.py), which needs scikit-image besides."""

import argparse
import hashlib
import io
import json
import pathlib
import struct
import warnings
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps, features

from goldens.noise import noise

ROOT = pathlib.Path(__file__).resolve().parent.parent
LANCZOS = Image.Resampling.LANCZOS
SIZE = (7, 5)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
RESIZES = [  # from, to
    (1, 1, 1, 1), (1, 1, 8, 5), (9, 7, 1, 1), (16, 12, 16, 12), (16, 12, 16, 30), (16, 12, 40, 12), (37, 23, 74, 46),
    (37, 23, 101, 67), (96, 64, 48, 32), (101, 67, 37, 23), (101, 67, 90, 5), (13, 97, 64, 33), (200, 3, 9, 48),
    (3, 200, 48, 9), (321, 241, 80, 48), (64, 64, 65, 63), (255, 257, 16, 256), (720, 480, 240, 160)]


def digest(image):
    return hashlib.sha256(np.asarray(image).tobytes()).hexdigest()


def rounded(a, b, c, limit):
    return min(max((2 * a * b + c) // (2 * c), 1), limit)


def cropped(image, width, height):
    w, h = image.size
    if w * height > width * h:
        w = rounded(h, width, height, w)
    else:
        h = rounded(w, height, width, h)
    x, y = (image.width - w) // 2, (image.height - h) // 2
    return image.crop((x, y, x + w, y + h)).resize((width, height), LANCZOS)


def padded(image, width, height):
    w, h = width, height
    if image.width * height > width * image.height:
        h = rounded(width, image.height, image.width, height)
    else:
        w = rounded(height, image.width, image.height, width)
    result = Image.new("RGB", (width, height))
    result.paste(image.resize((w, h), LANCZOS), ((width - w) // 2, (height - h) // 2))
    return result


def resize_cases():
    for from_width, from_height, width, height in RESIZES:
        image = Image.fromarray(noise(from_width, from_height, seed=from_width * 65536 + from_height))
        yield {"from": [from_width, from_height], "to": [width, height],
               "stretch": digest(image.resize((width, height), LANCZOS)),
               "crop": digest(cropped(image, width, height)), "pad": digest(padded(image, width, height))}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(depth, color, rows, size=SIZE, before=b"", after=b""):
    """A PNG of packed rows, without filters."""
    header = struct.pack(">IIBBBBB", *size, depth, color, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", data) + after +
            chunk(b"IEND", b""))


def interlaced_png(pixels):
    height, width, _ = pixels.shape
    rows = []
    for x, y, dx, dy in (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2):
        if x < width:
            rows += [b"\0" + row.tobytes() for row in pixels[y::dy, x::dx]]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 1)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"".join(rows), 9)) +
            chunk(b"IEND", b""))


def packed(values, depth):
    """Rows of numbers of `depth` bits, most significant first."""
    for row in values:
        bits = "".join(format(int(value), f"0{depth}b") for value in row.flatten())
        bits += "0" * (-len(bits) % 8)
        yield bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))


def exif(orientation, order):
    """A TIFF block with another tag in front."""
    return {"<": b"II", ">": b"MM"}[order] + struct.pack(
        order + "HIHHHIHHHHIHHI", 42, 8, 2, 0x0100, 3, 1, 7, 0, 0x0112, 3, 1, orientation, 0, 0)


def png_files():
    width, height = SIZE
    values = noise(width, 2 * height, seed=7).astype(np.uint16)
    wide = values[:height] * 256 + values[height:]
    for depth in 1, 2, 4, 8, 16:
        grey = wide[:, :, :1] >> (16 - depth)
        yield f"grey{depth}.png", png(depth, 0, packed(grey, depth))
        if depth <= 8:
            palette = noise(2**depth, 1, seed=depth).tobytes()
            yield f"palette{depth}.png", png(depth, 3, packed(grey, depth), before=chunk(b"PLTE", palette))
    palette = chunk(b"PLTE", noise(4, 1, seed=3).tobytes()) + chunk(b"tRNS", b"\xff\x80\x00")
    yield "palette_alpha.png", png(2, 3, packed(wide[:, :, :1] >> 14, 2), before=palette)
    for depth in 8, 16:
        color = wide >> (16 - depth)
        alpha = np.concatenate([color, color[:, ::-1, :1]], axis=2)
        yield f"rgb{depth}.png", png(depth, 2, packed(color, depth))
        yield f"grey_alpha{depth}.png", png(depth, 4, packed(alpha[:, :, 2:], depth))
        yield f"rgba{depth}.png", png(depth, 6, packed(alpha, depth))
    key = chunk(b"tRNS", struct.pack(">HHH", *(wide[0, 0] >> 8)))
    yield "rgb_key.png", png(8, 2, packed(wide >> 8, 8), before=key)
    opaque = np.concatenate([wide >> 8, np.full((height, width, 1), 255)], axis=2)
    yield "opaque.png", png(8, 6, packed(opaque, 8))
    yield "interlaced.png", interlaced_png((wide >> 8).astype(np.uint8))
    yield "one.png", png(8, 2, packed(wide[:1, :1] >> 8, 8), size=(1, 1))
    for orientation in range(1, 9):
        block = chunk(b"eXIf", exif(orientation, "<>"[orientation % 2]))
        place = {"before": block} if orientation < 5 else {"after": block}
        yield f"turned{orientation}.png", png(8, 2, packed(wide >> 8, 8), **place)
    text = chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP)
    yield "turned_xmp.png", png(8, 2, packed(wide >> 8, 8), before=text)


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def smooth(width, height):
    y, x = np.mgrid[0:height, 0:width]
    return Image.fromarray(np.stack([x * 255 // width, y * 255 // height, 255 - (x + y) * 3 % 256], 2).astype(np.uint8))


def resampled(file, luma, width, height):
    """The blocks of a JPEG in another order, for chroma that Pillow reads, but does not write."""
    file = bytearray(file)
    frame = file.index(b"\xff\xc0")
    file[frame + 5:frame + 9] = struct.pack(">HH", height, width)
    file[frame + 11] = luma
    return bytes(file)


def other_files():
    picture = Image.fromarray(noise(*SIZE, seed=5))
    with_alpha = picture.copy()
    with_alpha.putalpha(Image.fromarray(noise(*SIZE, seed=6)[:, :, 0]))
    yield "animated.png", saved(picture, "PNG", save_all=True, append_images=[picture.rotate(180)])
    yield "lossless.webp", saved(picture, "WEBP", lossless=True)
    yield "lossless_alpha.webp", saved(with_alpha, "WEBP", lossless=True, exact=True)
    yield "turned.webp", saved(picture, "WEBP", lossless=True, exif=b"Exif\0\0" + exif(6, "<"))
    yield "turned_bare.webp", saved(picture, "WEBP", lossless=True, exif=exif(8, ">"))
    yield "turned_xmp.webp", saved(picture, "WEBP", lossless=True, xmp=XMP)
    for width, height in (1, 1), (2, 3), (5, 4), (23, 17), (16, 18):
        yield f"lossy{width}x{height}.webp", saved(smooth(width, height), "WEBP", quality=70)
    yield "lossy_alpha.webp", saved(with_alpha, "WEBP", quality=70)
    yield "animated.webp", saved(picture, "WEBP", save_all=True, append_images=[picture.rotate(180)], lossless=True)
    for name, subsampling in ("444", 0), ("422", 1), ("420", 2):
        yield f"{name}.jpg", saved(smooth(23, 17), "JPEG", quality=80, subsampling=subsampling)
    yield "440.jpg", resampled(saved(Image.fromarray(noise(64, 8, seed=9)), "JPEG", subsampling=1), 0x12, 7, 63)
    yield "411.jpg", resampled(saved(Image.fromarray(noise(64, 16, seed=9)), "JPEG", subsampling=2), 0x41, 31, 31)
    yield "progressive.jpg", saved(smooth(23, 17), "JPEG", quality=80, progressive=True)
    yield "narrow.jpg", saved(smooth(4, 3), "JPEG", quality=95)
    yield "grey.jpg", saved(smooth(23, 17).convert("L"), "JPEG")
    yield "rgb.jpg", saved(smooth(23, 17), "JPEG", keep_rgb=True)
    yield "cmyk.jpg", saved(smooth(23, 17).convert("CMYK"), "JPEG", quality=80)
    yield "turned.jpg", saved(smooth(23, 17), "JPEG", exif=b"Exif\0\0" + exif(6, ">"))
    yield "turned_xmp.jpg", saved(smooth(23, 17), "JPEG", xmp=XMP)


def image_cases():
    for name, data in [*png_files(), *other_files()]:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        if image.mode == "I;16":  # Pillow would saturate all above 255
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        image = image.convert("RGB")
        case = {"name": name, "file": data.hex(), "size": list(image.size)}
        if name.endswith(".jpg"):
            case["pixels"] = np.asarray(image).tobytes().hex()
        else:
            case["sha256"] = digest(image)
        yield case


def write_media(output):
    if int(PIL.__version__.split(".")[0]) > 12:
        raise SystemExit(f"Pillow is {PIL.__version__}, wanted 12 or older: 13 shrinks some sizes vertically first")
    versions = {"pillow": PIL.__version__, "libjpeg_turbo": features.version("libjpeg_turbo"),
                "webp": features.version("webp")}
    lists = {"resizes": list(resize_cases()), "images": list(image_cases())}
    lines = [json.dumps("versions") + ": " + json.dumps(versions)]
    for key, cases in lists.items():
        lines.append(json.dumps(key) + ": [\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]")
    (output / "media.json").write_text("{" + ",\n".join(lines) + "}\n")


def write_compare(output):
    from goldens import compare_cases  # needs scikit-image

    compare_cases.write_compare(output)


GROUPS = {"media": write_media, "compare": write_compare}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "tests" / "goldens")
    parser.add_argument("--only", choices=GROUPS, action="append", help="default: all")
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    for group in options.only or GROUPS:
        GROUPS[group](options.output)


if __name__ == "__main__":
    main()
