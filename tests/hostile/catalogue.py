"""The rows that are not in the table of this directory, and why."""

from __future__ import annotations

_IDS = """
P01 P02 P04 P05 P06 P07 P09 P11 P12 P14 P15 P16 P17 P18 P19 P20 P22 P26 P27 P28 P29
S01 S03 S05 S07 S09 S11 S12 S13 S17 S18 S21 S23 S24 S25
H03 H05 H10 H13 H14 H15 H16 H17 H18 H19 H21 H23 H24 H25 H27 H28 H29 H30 H31 H32 H33 H39 H43 H47 H48 H49 H50 H51
H52 H55
X01 X02 X05 X07 X12 X13 X15 X17 X19 X20 X22 X23
C01 C02 C03 C04 C05 C06 C08 C09 C10 C11 C13 C14 C15 C17 C19 C22 C23 C25 C27 C28 C31
T09 T15 T16 T17 T18 T20 T21 T24
R01 R02 R03 R06 R07 R09 R10 R12 R15 R16 R17 R20 R22 R23 R24 R26
U05 U07 U08 U10 U12 U13 U15 U16 U19 U20 U21 U22 U23 U25
B03 B04 B05 B07 B10 B11 B12 B13 B14 B16 B19
K03 K05 K06 K09 K10 K11 K12 K14 K17 K18 K19 K20 K21 K23 K25 K26 K27
F01 F03 F05 F06 F10 F11 F12 F13 F14 F15 F16 F17 F18 F19 F20 F21 F22 F24 F25 F27 F30 F33
E01 E02 E03 E04 E05 E06
"""
IDS = tuple(_IDS.split())

TESTED_BY = {
    "R12": (
        "stores/test_redis_replay.py::test_prefixes_know_nothing_of_each_other",
        "stores/test_contracts.py::test_prefixes_that_collide_are_caught",
    ),
    "U22": (
        "fetcher/test_http.py::test_what_is_sent_owes_nothing_to_a_client_or_the_environment",
        "fetcher/test_http.py::test_a_client_with_proxies_of_the_environment_is_refused",
    ),
    "F33": ("fetcher/test_fetching.py::test_what_is_handed_out_cannot_change_what_is_kept",),
    "E06": ("hostile/test_rows.py::test_row",),
}
"""Rows that other tests show, sync and async where there are both."""

NOT_APPLICABLE = {
    "P20": "The library is handed the parameters of the body; what stands in the URL never reaches it.",
    "X23": "A claim about time, which no unit test can hold; every client-fault answer is the same bytes (P17, E01).",
}
"""Rows that do not apply to a library, and why."""
