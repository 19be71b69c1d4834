"""JSON that has one meaning, and costs little to refuse."""

import base64
import contextlib
import json
import math
import re
import sys
import threading
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from private_key_jwt._core.strict_json import (
    MAX_DEPTH,
    MAX_STRUCTURE,
    TooMuchStructure,
    check_beginning,
    check_structure,
    loads_object,
)

_STACK = 64 * 2**20  # Python 3.12 and 3.13 count calls, not bytes: up to 10,000 of them have to fit


def nested(levels: int, opening: str = "[", closing: str = "]") -> bytes:
    """An object at level 1 with arrays down to ``levels``."""
    return ('{"a":' + opening * (levels - 1) + closing * (levels - 1) + "}").encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"{}", {}),
        (b' \t\r\n{"a": [1, -2, 3.5, true, null, "x"]} \n', {"a": [1, -2, 3.5, True, None, "x"]}),
        (b'{"a": 12345678901234567890}', {"a": 12345678901234567890}),
        (b'{"a": -12345678901234567890}', {"a": -12345678901234567890}),
        (b'{"a": 1e308}', {"a": 1e308}),
        (b'{"\\ud83d\\ude00": "\\u00e9\\\\ud800"}', {"\U0001f600": "é\\ud800"}),
        ('{"a": "é\U0001f600"}'.encode(), {"a": "é\U0001f600"}),
        (b'{"a": "' + b"[" * 1000 + b'"}', {"a": "[" * 1000}),
        (b'{"a": "\\"' + b"[" * 1000 + b'"}', {"a": '"' + "[" * 1000}),
        (b'{"a": [' + b"[]," * 5000 + b"[]]}", {"a": [[]] * 5001}),
        (b'{"a": "1,2", "b": {"c": 1, "d": [{}, {"c": 2}]}}', {"a": "1,2", "b": {"c": 1, "d": [{}, {"c": 2}]}}),
    ],
)
def test_strict_json_is_read(text: bytes, value: Any) -> None:
    assert loads_object(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "empty"),
        (b" ", "empty"),
        (b"[]", "not a JSON object"),
        (b'"x"', "not a JSON object"),
        (b"1", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"true", "not a JSON object"),
        (b"{", "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1,}', "not JSON"),
        (b'{"a": 01}', "not JSON"),
        (b'{"a": "\x01"}', "not JSON"),
        (b'{"a": 1}{}', "follows"),
        (b'{"a": 1}x', "follows"),
        (b'{"a": 1}\x00', "follows"),
        (b'{"a": 1}\x0c', "follows"),
        ("{}\u00a0".encode(), "follows"),
        (b'\xef\xbb\xbf{"a": 1}', "byte order mark"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "not JSON"),
        ('{"a": 1}'.encode("utf-32"), "not UTF-8"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a": "\xc0\xaf"}', "not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": 1, "a": 1}', "twice"),
        (b'{"a": 1, "\\u0061": 2}', "twice"),
        (b'{"a": {"b": 1, "b": 2}}', "twice"),
        (b'{"a": [{"b": 1, "b": 2}]}', "twice"),
        (b'{"a": "\\u002c", "a": 1}', "twice"),
        (b'{"a": ",", "a": 1}', "twice"),
        (b'{"a": 1, "a": ","}', "twice"),
        (b'{"a": {}, "a": {}, "b": []}', "twice"),
        (b'{"": 1, "": 1}', "twice"),
        (b'{"a": 1, "b": {"": 0, "": 0}, "c": ",,"}', "twice"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": Infinity}', "Infinity"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e400}', "out of range"),
        (b'{"a": [-1e400]}', "out of range"),
        (b'{"a": 123456789012345678901}', "20 digits"),
        (b'{"a": 100000000000000000000}', "20 digits"),
        (b'{"a": -123456789012345678901}', "20 digits"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "20 digits"),
        (b'{"a": "\\ud800"}', "surrogate"),
        (b'{"a": "\\udfff\\ud800"}', "surrogate"),
        (b'{"\\ud800": 1}', "surrogate"),
        (b'{"a": [["\\uDC00"]]}', "surrogate"),
        (b"[" * 100_000, "levels|JSON"),
        (b'{"a":' * 100_000, "levels"),
        (nested(100_000), "levels"),
        (b'{"a": [' + b"[]," * 40 + nested(40) + b"]}", "levels"),
        (b'{"a": "' + b"[" * 100, "not JSON"),
    ],
)
def test_what_is_not_strict_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        loads_object(text)


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_the_outer_object_is_level_one(brackets: str) -> None:
    opening = '{"a":' if brackets == "{}" else "["
    innermost = "{}" if brackets == "{}" else "[]"
    levels = MAX_DEPTH - 2
    deepest = ('{"a":' + opening * levels + innermost + brackets[1] * levels + "}").encode()
    assert loads_object(deepest)
    too_deep = ('{"a":' + opening * (levels + 1) + innermost + brackets[1] * (levels + 1) + "}").encode()
    with pytest.raises(ValueError, match="32 levels"):
        loads_object(too_deep)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"a": 1}x', "something follows the JSON object, at character 9"),
        (b'{"a" 1}', "not JSON: Expecting ':' delimiter at character 6"),
        (b'{"a": 1, "b": {"c": 2, "d": 3, "d": 4}}', "a member stands twice: 'd'"),
    ],
)
def test_a_fault_is_told_by_its_place_or_its_name(text: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        loads_object(text)


@pytest.mark.parametrize(
    "number",
    [
        "1732929384.123456789",
        "-55.676096987654321",
        "1.7976931348623157e308",
        "0.00001234567890123456789",
        "1e-308",
        f"0.{'0' * 97}1",
    ],
)
def test_a_number_of_few_significant_digits_is_read(number: str) -> None:
    assert loads_object(f'{{"a":{number}}}'.encode(), max_fractions=1) == {"a": float(number)}


@pytest.mark.parametrize(
    "number", [f"1.{'8' * 20}", f"-0.{'7' * 21}", f"1.{'8' * 24}e-308", f"1e-{'0' * 100}1", f"0.{'0' * 98}1"]
)
def test_a_number_of_more_significant_digits_is_refused(number: str) -> None:
    with pytest.raises(ValueError, match="a number of more than 20 significant digits, or 100 characters"):
        loads_object(f'{{"a":{number}}}'.encode())


@pytest.mark.parametrize("number", ["1.5", "1e1", "1E1", "-0.5e-1"])
def test_numbers_with_a_fraction_or_an_exponent_are_bounded(number: str) -> None:
    def text(many: int) -> bytes:
        return f'{{"a":[{",".join([number] * many)}]}}'.encode()

    assert loads_object(text(4), max_fractions=4)
    assert loads_object(text(5))
    with pytest.raises(TooMuchStructure, match="at most 4 numbers with a fraction or an exponent"):
        loads_object(text(5), max_fractions=4)


def test_strings_that_look_like_fractions_do_not_count() -> None:
    text = json.dumps({"a": ["1.5", "3e4f"] * 9, "b": 1.5, "c": [1] * 65}).encode()
    assert loads_object(text, max_fractions=1)["b"] == 1.5


def test_integers_are_bounded_where_one_may_be_too_long() -> None:
    def text(many: int, digits: int) -> bytes:
        return json.dumps({"s": "1" * digits, "a": [1] * many}).encode()

    assert loads_object(text(64, 21), max_fractions=1)
    assert loads_object(text(65, 20), max_fractions=1)
    assert loads_object(text(65, 21))
    with pytest.raises(TooMuchStructure, match="at most 64 integers"):
        loads_object(text(65, 21), max_fractions=1)


def test_no_beginning_of_an_object_is_refused() -> None:
    deepest = b'{"b":[[],[]],"a":' + b'{"a":' * 30 + b'[""]' + b"}" * 31
    loads_object(deepest)
    for end in range(len(deepest)):
        check_beginning(deepest[:end])


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not a JSON object: it is empty"),
        (b" \t\r\n", "not a JSON object: it is empty"),
        (b"1", "not a JSON object"),
        (b"[1]", "not a JSON object: it is an array"),
        (b'\n"{}"', "not a JSON object: it is a text in quotes, maybe JSON within JSON"),
        (b"<", "not a JSON object: it looks like HTML or XML"),
        (b"\n <html>", "not a JSON object: it looks like HTML or XML"),
        (b"\x0b<html>", "not a JSON object"),
        (b"\xef\xbb\xbf{}", "not a JSON object: it begins with a byte order mark"),
    ],
)
def test_what_is_no_object_is_described_by_its_beginning(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        loads_object(raw)


UTF_16 = ": it looks like UTF-16, and must be UTF-8"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"-----BEGIN PUBLIC KEY-----", ": it looks like PEM"),
        (b"-----END", ""),
        *[
            (base64.b64encode(each), ": it looks like JSON in base64")
            for each in (b'{"keys": []}', b'{ "keys"', b"{\n")
        ],
        (base64.b64encode(b'{\r\n"keys"'), ": it looks like JSON in base64"),
        (base64.b64encode(b'{"alg": "RS256"}'), ": it looks like a JWT"),
        (b"eyK", ""),
        *[(f"{each}{{}}".encode("utf-16-le"), UTF_16) for each in ("\ufeff", "\ufffe")],
        ("{}".encode("utf-16-be"), UTF_16),
        (b"\xff{}", ""),
        (b"\xfe{}", ""),
    ],
)
def test_what_begins_otherwise_is_described_before_it_is_decoded(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=f"^not a JSON object{words}$"):
        check_beginning(raw)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # From 3.13 on, Python says so itself, and shows the comma.
        ('{"keys": [1, ]}', "(a comma stands before ] at character 14|Illegal trailing comma .* at character 12)$"),
        ('{"keys": [],\n}', "(a comma stands before } at character 14|Illegal trailing comma .* at character 12)$"),
        ('{"a": [1 }', "Expecting ',' delimiter at character 10$"),
        ('{"keys": [1,', "Expecting value at character 13$"),
        ('{"keys": [x]}', "Expecting value at character 11$"),
        ('{"a": x, "b": ]}', "Expecting value at character 7$"),
        ('{"a": ]}', "Expecting value at character 7$"),
        ('{"a",}', "Expecting ':' delimiter at character 5$"),
    ],
)
def test_a_comma_that_nothing_follows_is_named_and_what_is_broken_by_its_place(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=f"^not JSON: {words}"):
        loads_object(text.encode())


def test_utf_16_without_a_mark_is_said_to_be_that() -> None:
    with pytest.raises(ValueError, match="^not JSON: it looks like UTF-16, and must be UTF-8: .* at character 2$"):
        loads_object('{"a": 1}'.encode("utf-16-le"))


def test_white_space_before_an_object_is_a_beginning_that_it_has() -> None:
    check_beginning(b" \t\n\r{")
    check_beginning(b"  ")


def test_a_beginning_that_no_object_has_is_refused() -> None:
    for text in (b"[1", b"  1", b"\x00", b"\x0b{}", b"\x0c{}"):
        with pytest.raises(ValueError, match=r"not a JSON object|levels"):
            check_beginning(text)


def test_depth_is_found_wherever_it_stands() -> None:
    wide = b"[]," * 600
    with pytest.raises(ValueError, match="levels"):
        loads_object(b'{"a": [' + wide + b"[" * 40 + b"]" * 40 + b"," + wide + b"1]}")


@pytest.mark.parametrize("wide", range(105, 131))
def test_depth_is_counted_on_from_block_to_block(wide: int) -> None:
    def text(levels: int) -> bytes:
        return b'{"a":[' + b"[[]]," * wide + b"[" * (levels - 2) + b"]" * (levels - 2) + b"]}"

    loads_object(text(MAX_DEPTH))
    with pytest.raises(ValueError, match="levels"):
        loads_object(text(MAX_DEPTH + 1))


COSTLY = {
    "an open string of quotes": b'{"a":"' + b"[" * 33 + b'",  "b":"' + b'\\"' * 5_900,
    "quotes and backslashes": b'{"a":"' + b"[" * 33 + b'",  "b":"\\' + b'"\\' * 5_900,
    "quotes only": b"[" * 33 + b'"' * 11_900,
    "an open string": b"[" * 33 + b'"' + b"a" * 12_000,
    "backslashes": b"[" * 33 + b'"' + b"\\" * 12_001,
    "shallow lists": b'{"a":[' + b"[]," * 4_000,
    "deep lists": b"[" * 12_000,
    "digits": b'{"a":' + b"1" * 12_000 + b"}",
    "a long fraction": b'{"a":0.' + b"1" * 12_000 + b"}",
}


@pytest.mark.parametrize("name", COSTLY)
def test_no_text_of_12_kib_costs_more_than_its_length(name: str) -> None:
    """The bound is some thirty times what a plain text of this size takes; a quadratic one takes thousands."""
    plain = b'{"a":"' + b"a" * 12_000 + b'"}'

    def cost(text: bytes) -> float:
        best = float("inf")
        for _ in range(5):
            started = time.perf_counter()
            with contextlib.suppress(ValueError):
                loads_object(text)
            best = min(best, time.perf_counter() - started)
        return best

    assert cost(COSTLY[name]) < 200 * cost(plain)


def test_a_stack_that_is_nearly_full_is_a_value_error() -> None:
    """By recursion through C: since Python 3.12 the recursion limit counts nothing but frames of Python."""
    deep = b'{"a": ' + b"[" * 30 + b"]" * 30 + b"}"
    faults = []

    def dive(_: None) -> None:
        loads_object(deep)
        next(map(dive, [None]))

    def dive_and_tell() -> None:
        try:
            dive(None)
        except (ValueError, RecursionError) as error:  # up here, where there is room to look at it
            faults.append(str(error))

    limit, size = sys.getrecursionlimit(), threading.stack_size(_STACK)
    try:
        if sys.version_info >= (3, 12):  # before, it bounds what C takes of the stack, too
            sys.setrecursionlimit(1_000_000)
        diver = threading.Thread(target=dive_and_tell)
        diver.start()
        diver.join()
    finally:
        sys.setrecursionlimit(limit)
        threading.stack_size(size)
    assert faults == ["nested more than 32 levels deep"]


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20) + 1, 10**20 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), values, max_size=5), st.booleans())
def test_every_plain_object_survives(value: dict[str, Any], ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert loads_object(text.encode("utf-8")) == value


@given(st.binary(max_size=60) | st.text('{}[]":,\\u0123456789deEaN.+- \n', max_size=60).map(str.encode))
def test_anything_else_is_a_value_error(raw: bytes) -> None:
    try:
        value = loads_object(raw)
    except ValueError:
        return
    assert isinstance(value, dict)


names = st.sampled_from([b'"a"', b'"b"', b'"c"', b'"\\u0061"', b'","', b'""'])
pieces = st.sampled_from([b'"b"', b'","', b'"\\u002c"', b"1", b"{}", b"[]", b"[1]", b'{"a":1}', b'{"a":1,"a":1}'])


@given(st.lists(st.tuples(names, pieces), max_size=5))
def test_no_member_stands_twice_at_any_level(members: list[tuple[bytes, bytes]]) -> None:
    """Against the plain way of telling: a function that is given each object's members."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("twice")
        return dict(pairs)

    text = b"{" + b",".join(name + b":" + value for name, value in members) + b"}"
    try:
        expected = json.loads(text, object_pairs_hook=unique)
    except ValueError:
        with pytest.raises(ValueError, match="twice"):
            loads_object(text)
    else:
        assert loads_object(text) == expected


keys = st.sampled_from(['"a"', '"b"', '"\\u0061"', '"\\udc00"', '"a,b"', '"{"', '"["', '""', '"é"', "a"])
texts = ['"b"', '","', '"{"', '"["', '"é"', '""', '"\\u002c"', '"\\ud800"', '"\\""', '"\x00"', '"', ""]
numbers = ["0", "-0", "-1", "01", "1.0", "-0.0", "1E400", "-1e400", "9" * 20, "9" * 21, f"1{'0' * 20}", "9" * 400]
others = ["true", "null", "NaN", "Infinity", "-Infinity", "{}", "[]", '{"a":1,"a":1}', "[" * 32 + "]" * 32]
ends = st.sampled_from(["}"] * 6 + ["", ",}", "} \n", "}}", "}{}", "}x", "}\x00", "}\u00a0", "}\ufeff"])


@given(st.lists(st.tuples(keys, st.sampled_from(texts + numbers + others)), max_size=4), ends)
@example(members=[('"a"', "1"), ('"a"', "2"), ('"b"', '","')], end="}")
@example(members=[('"a"', '"\\ud800"')], end="}")
def test_a_short_object_means_what_a_long_one_does(members: list[tuple[str, str]], end: str) -> None:
    """White space makes it too long for the short way, and changes nothing but the places that errors name."""
    rest = ",".join(f"{key}:{leaf}" for key, leaf in members) + end

    def outcome(text: str) -> str:
        try:
            return repr(loads_object(text.encode()))  # which tells 1 from 1.0 and True, and the order of the members
        except ValueError as error:
            return re.sub(r"character \d+", "character", str(error))

    assert outcome("{" + rest) == outcome("{" + " " * 4_096 + rest)


def test_only_what_structures_a_text_counts_as_structure() -> None:
    most = dict.fromkeys(b"[]{},:\\", MAX_STRUCTURE) | {ord('"'): 512}
    for byte in range(256):
        check_structure(bytes([byte]) * most.get(byte, 1_000))
        if byte in most:
            with pytest.raises(TooMuchStructure, match=f"at most {most[byte]} .* got {most[byte] + 1}$"):
                check_structure(bytes([byte]) * (most[byte] + 1))


def test_only_white_space_may_stand_around_an_object() -> None:
    for number in range(256):
        byte = bytes([number])
        for raw in (b"{}" + byte, byte + b"{}"):
            if byte in b" \t\n\r":
                assert loads_object(raw) == {}
            else:
                with pytest.raises(ValueError, match=r"not|follows"):
                    loads_object(raw)


def test_many_digits_outside_of_it_do_not_change_what_an_integer_may_be() -> None:
    many = f'"note":"{"7" * 40}","fraction":0.{"1" * 20}'
    for digits in ("5", "-5", "9" * 20, "-" + "9" * 20):
        assert loads_object(f'{{{many},"n":{digits}}}'.encode())["n"] == int(digits)
    for digits in ("9" * 21, "-" + "9" * 21):
        with pytest.raises(ValueError, match="more than 20 digits"):
            loads_object(f'{{{many},"n":{digits}}}'.encode())


def test_the_least_integer_of_21_digits_is_refused_in_a_short_object_too() -> None:
    assert loads_object(b'{"n":%d}' % (10**20 - 1)) == {"n": 10**20 - 1}
    with pytest.raises(ValueError, match="more than 20 digits"):
        loads_object(b'{"n":%d}' % 10**20)
    with pytest.raises(ValueError, match="^not UTF-8 at byte 3$"):
        loads_object(b'{"\xff":1}')


@pytest.mark.parametrize(
    ("number", "read"), [("1e400", math.inf), ("-1e400", -math.inf), ("1e308", 1e308), ("0.5", 0.5)]
)
@pytest.mark.parametrize("bounds", [{}, {"max_fractions": 8, "max_integers": 8}])
def test_a_number_of_a_key_set_that_is_out_of_range_is_infinite(
    number: str, read: float, bounds: dict[str, Any]
) -> None:
    digits = "0" * 21  # with so many in a row numbers are counted, where there are bounds
    raw = f'{{"keys": [{{"sn": {number}}}], "x": "{digits}"}}'.encode()
    assert loads_object(raw, is_key_set=True, **bounds) == {"keys": [{"sn": read}], "x": digits}
    if math.isinf(read):
        with pytest.raises(ValueError, match="out of range"):
            loads_object(raw, **bounds)


@pytest.mark.parametrize("number", [f"{'1' * 11}.{'1' * 13}", f"0.{'1' * 90}", "1" * 49])
@pytest.mark.parametrize("bounds", [{}, {"max_fractions": 8, "max_integers": 8}])
def test_a_long_number_of_a_key_set_is_infinite(number: str, bounds: dict[str, Any]) -> None:
    raw = f'{{"keys": [{{"sn": {number}}}]}}'.encode()
    assert loads_object(raw, is_key_set=True, **bounds) == {"keys": [{"sn": math.inf}]}
    with pytest.raises(ValueError, match="more than 20"):
        loads_object(raw, **bounds)
