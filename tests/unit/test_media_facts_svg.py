"""What is an SVG and what is none, its sizes in every unit, and documents that mean harm."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.pictures import svg

if TYPE_CHECKING:
    from types import ModuleType


def told_of(media: ModuleType, data: bytes) -> dict[str, Any]:
    told: dict[str, Any] = media.read_media(lambda at, count: data[at : at + count], len(data))
    return told


def size_of(media: ModuleType, attributes: str) -> tuple[int | None, int | None]:
    told = told_of(media, svg(attributes))
    assert told["mime_type"] == "image/svg+xml"
    return told.get("width"), told.get("height")


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('width="12" height="34"', (12, 34)),
        ("width='12px' height='34PX'", (12, 34)),
        ('width="72pt" height="6pc"', (96, 96)),
        ('width="25.4mm" height="2.54cm"', (96, 96)),
        ('width="1in" height="101.6q"', (96, 96)),
        ('width="+1.5e2" height=".5E3"', (150, 500)),
        ('width="0.2" height="2.6"', (1, 3)),
        ('width="100%" height="100%" viewBox="0 0 640 480"', (640, 480)),
        ('width="100%" height="100%"', (None, None)),
        ('width="20em" height="auto" viewBox="0,0,640,480"', (640, 480)),
        ('width="320" viewBox="0 0 640 480"', (320, 240)),
        ('height="120" viewBox="-10 -10 640 480"', (160, 120)),
        ('width="320"', (None, None)),
        ("", (None, None)),
        ('viewBox=" 1e1 0\n20\t30 "', (20, 30)),
    ],
)
def test_its_size(media: ModuleType, attributes: str, size: tuple[int | None, int | None]) -> None:
    assert size_of(media, attributes) == size


@pytest.mark.parametrize(
    "attributes",
    [
        'width="0" height="5"', 'width="-3" height="5"', 'width="abc" height="5"', 'width="5 px" height="5"',
        'width="1e999" height="5"', 'width="1e300" height="1e300"', 'width="5furlongs" height="1"',
        'width="1_0" height="5"',
        'viewBox="0 0 0 5"', 'viewBox="0 0 5"', 'viewBox="a b c d"', 'viewBox="0 0 -1 5"', 'viewBox="0 0 1e999 5"',
        'width="5" width="6"', "width=5", 'width"5"', '="5"', 'a="<"', "width", 'width="&#49;0" height="5"',
    ],
)  # fmt: skip
def test_a_root_that_cannot_be_is_told(media: ModuleType, attributes: str) -> None:
    with pytest.raises(ValueError, match="an SVG"):
        told_of(media, svg(attributes))


BODY = '<svg xmlns="http://www.w3.org/2000/svg" width="3" height="4"/>'


@pytest.mark.parametrize(
    "data",
    [
        BODY.encode(),
        b"\xef\xbb\xbf" + BODY.encode(),
        b"\xff\xfe" + BODY.encode("utf-16-le"),
        b"\xfe\xff" + BODY.encode("utf-16-be"),
        BODY.encode("utf-16-le"),
        BODY.encode("utf-16-be"),
        b"\r\n\t " + BODY.encode(),
        b'<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<!-- > <html> -->\n' + BODY.encode(),
        b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
        + BODY.encode(),
        b'<!DOCTYPE svg [ <!-- ]> --> <?p ]>?> <!ATTLIST svg x CDATA "]>"> ]>' + BODY.encode(),
        b"<!--" + b"c" * 60_000 + b"-->" + BODY.encode(),
        b'<svg width="3" height="4">',
        b'<s:svg width="3" height="4" xmlns:s="http://www.w3.org/2000/svg"/>',
        '<svg xmlns="http://www.w3.org/2000/svg" title="\u00e9\u6f22" width="3" height="4"/>'.encode(),
    ],
)
def test_what_is_an_svg(media: ModuleType, data: bytes) -> None:
    assert media.sniff(data) == "image/svg+xml"
    assert told_of(media, data) == {"mime_type": "image/svg+xml", "width": 3, "height": 4}


@pytest.mark.parametrize(
    "data",
    [
        b"<!DOCTYPE html><html><body>" + BODY.encode(),
        b"<html>" + BODY.encode(),
        b"<!doctype html>" + BODY.encode(),
        b"<!DOCTYPE html>" + BODY.encode(),
        b"<!-- <svg> --><p/>",
        b"words <svg/>",
        b"<SVG/>",
        b"<svgx/>",
        b"< svg/>",
        b'<svg xmlns="http://www.w3.org/1999/xhtml"/>',
        b'<x:svg xmlns:x="urn:other"/>',
        b"<x:svg/>",
        b"<!--" + b"c" * 70_000 + b"-->" + BODY.encode(),
        b"<!-- never closed " + BODY.encode(),
        b"<?xml never closed",
        b"<!DOCTYPE svg [ never closed " + BODY.encode(),
        b"<",
        b"<svg",
        b" ",
        b"\xff\xfe",
    ],
)
def test_what_is_none(media: ModuleType, data: bytes) -> None:
    assert media.sniff(data) is None
    assert told_of(media, data) == {}


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))


@pytest.mark.parametrize(
    "declared",
    [
        LAUGHS,
        '<!ENTITY w "5">',
        '<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;',
        '<!ENTITY x SYSTEM "http://127.0.0.1:1/">',
    ],
)
def test_entities_are_refused_and_never_expanded(media: ModuleType, declared: str) -> None:
    data = f'<!DOCTYPE svg [<!ENTITY l0 "ha">{declared}]><svg xmlns="&x;" width="&w;" height="&l9;"/>'.encode()
    assert media.sniff(data) == "image/svg+xml"
    with pytest.raises(ValueError, match="declares entities"):
        told_of(media, data)


def test_a_root_that_is_cut(media: ModuleType) -> None:
    with pytest.raises(ValueError, match="is cut"):
        told_of(media, b'<svg width="5" height="')
    assert media.media_facts(b'<svg width="5" height="', "image/svg+xml") == {}
    assert told_of(media, b'<svg a="' + b"x" * 70_000 + b'"/>') == {"mime_type": "image/svg+xml"}
    with pytest.raises(ValueError, match="the root of an SVG"):
        media.media_facts(b"<html>", "image/svg+xml")


@pytest.mark.parametrize(
    "data",
    [b"<!---->" * 9000, b"<??>" * 16_000, b"<svg " + b"a " * 30_000,
     b"<svg " + b"".join(b'a%d="" ' % n for n in range(6000)),
     b"<!DOCTYPE svg [" + b"<" * 65_000, b"<!DOCTYPE svg " + b"''" * 32_000, b" " * 65_536, b"<" + b"a" * 65_000],
)  # fmt: skip
def test_a_head_that_means_harm_takes_no_time(media: ModuleType, data: bytes) -> None:
    begin = time.process_time()
    for _ in range(3):
        media.sniff(data)
    assert time.process_time() - begin < 10  # some hundredths, where nothing traces it and each step is taken once


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "<svg",
                ' width="3"',
                ">",
                "<!--",
                "-->",
                "<!DOCTYPE svg",
                "[",
                "]",
                "<!ENTITY",
                "'",
                '"',
                "\0",
                " ",
                "=",
                "é",
                "<?",
                "?>",
            ]
        ),
        max_size=12,
    )
)
def test_pieces_of_markup_in_any_order(media: ModuleType, pieces: list[str]) -> None:
    data = "".join(pieces).encode()
    try:
        told = told_of(media, data)
    except ValueError:
        return
    assert not told or told["mime_type"] == "image/svg+xml"
