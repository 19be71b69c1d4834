"""What may replace keys, chunk by chunk."""

import gzip
import zlib
from typing import Any

import pytest

from private_key_jwt._core.response import FetchFailed, ResponseReader

JSON: Any = {"content-type": "application/json"}
GZIP: Any = {**JSON, "content-encoding": "gzip"}
BODY = b'{"keys": []}'


def read(*chunks: bytes, status: int = 200, **headers: str) -> bytes:
    reader = ResponseReader(status, {name.replace("_", "-"): value for name, value in headers.items()}, 1_000)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.finish()


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json; charset=utf8; profile=x",
        " application/json ; charset =utf-8 ",
        "application/jwk-set+json",
        "application/jwk-set+json; charset=UTF-8",
    ],
)
def test_json_is_taken(content_type: str) -> None:
    body = read(BODY[:5], BODY[5:], content_type=content_type)
    assert body == BODY
    assert type(body) is bytes  # its hash tells one document from another


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/html",
        "text/plain",
        "application/jwk-set+jwt",
        "application/json; charset=latin-1",
        "application/json; charset =latin-1",
        "application/jso",
        "application/json; charset=Xutf-8",
        "application/json; charset=",
        "X",
    ],
)
def test_another_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(FetchFailed, match="content type"):
        read(BODY, content_type=content_type)


def test_a_missing_content_type_is_refused() -> None:
    with pytest.raises(FetchFailed, match="content type ''$"):
        read(BODY)


@pytest.mark.parametrize("status", [201, 204, 206, 301, 302, 304, 404, 500, 503])
def test_only_status_200_is_an_answer(status: int) -> None:
    with pytest.raises(FetchFailed, match=str(status)):
        read(BODY, status=status, **JSON)


def test_the_cap_is_a_byte_exact() -> None:
    assert read(b"x" * 1_000, **JSON) == b"x" * 1_000
    with pytest.raises(FetchFailed, match="at most 1000 bytes"):
        read(b"x" * 1_000, b"x", **JSON)


def test_gzip_is_read() -> None:
    packed = gzip.compress(BODY)
    assert read(*(packed[i : i + 1] for i in range(len(packed))), **GZIP) == BODY


@pytest.mark.parametrize("encoding", ["identity", "Identity", " identity "])
def test_a_body_that_is_not_encoded_may_say_so(encoding: str) -> None:
    assert read(BODY, content_encoding=encoding, content_type="application/json") == BODY


@pytest.mark.parametrize("encoding", ["GZIP", " gzip "])
def test_a_content_coding_has_no_case_and_no_white_space(encoding: str) -> None:
    assert read(gzip.compress(BODY), content_encoding=encoding, content_type="application/json") == BODY


def test_gzip_may_look_back_as_far_as_it_can() -> None:
    far = bytes(sum(divmod(number * number, 251)) % 256 for number in range(30_000)) * 2
    reader = ResponseReader(200, GZIP, len(far))
    reader.feed(gzip.compress(far))
    assert reader.finish() == far


def test_a_gzip_bomb_costs_no_more_than_the_cap() -> None:
    reader = ResponseReader(200, GZIP, 1_000)
    with pytest.raises(FetchFailed, match="at most 1000 bytes"):
        reader.feed(gzip.compress(b"\0" * 10_000_000)[:900])
    assert len(reader._body) == 1_001


def test_packed_bytes_count_too() -> None:
    empty_blocks = gzip.compress(b"")[:10] + b"\x00\x00\x00\xff\xff" * 1_000
    with pytest.raises(FetchFailed, match="at most 1000 bytes"):
        read(empty_blocks, **GZIP)


@pytest.mark.parametrize(
    "chunks",
    [
        (gzip.compress(BODY)[:-1],),
        (gzip.compress(BODY) + b"x",),
        (gzip.compress(BODY), b"x"),
        (gzip.compress(BODY) + gzip.compress(BODY),),
        (BODY,),
        (zlib.compress(BODY),),
        (),
    ],
)
def test_broken_gzip_is_refused(chunks: tuple[bytes, ...]) -> None:
    with pytest.raises(FetchFailed, match="gzip"):
        read(*chunks, **GZIP)


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "identity, gzip", "x"])
def test_another_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(FetchFailed, match="content encoding"):
        read(BODY, content_encoding=encoding, content_type="application/json")


def test_the_cap_of_packed_bytes_is_a_byte_exact() -> None:
    body = bytes(number * number % 251 for number in range(251))
    packed = gzip.compress(body)
    assert len(packed) > len(body)
    for at_most, fits in ((len(packed), True), (len(packed) - 1, False)):
        reader = ResponseReader(200, GZIP, at_most)
        if fits:
            reader.feed(packed)
            assert reader.finish() == body
        else:
            with pytest.raises(FetchFailed, match="at most"):
                reader.feed(packed)


def test_a_bomb_in_a_later_chunk_is_not_unpacked_past_the_cap_either() -> None:
    pack = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    first = pack.compress(b"x" * 900) + pack.flush(zlib.Z_SYNC_FLUSH)
    reader = ResponseReader(200, GZIP, 1_000)
    reader.feed(first)
    with pytest.raises(FetchFailed, match="at most 1000 bytes"):
        reader.feed(pack.compress(b"x" * 1_000_000) + pack.flush())
    assert len(reader._body) == 1_001
