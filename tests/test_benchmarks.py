"""The benchmarks run, and what they measure with is right. ``.ci/run benchmarks`` runs all, with other libraries."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from private_key_jwt import InvalidClient, Reason
from private_key_jwt import stores as our_stores
from private_key_jwt.events import OnEvent
from suite import corpus, figure, hostile, ours, report, stores, weights
from suite.measuring import CodePath, Items, Spread, in_own_process, interleave, percentiles, refusals
from suite.report import Row, Section
from suite.search import LIMIT, find_dearest


@pytest.mark.slow
@pytest.mark.parametrize("name", ["targets", "scaling", "stages", "algorithms", "frameworks", "load", "http"])
@pytest.mark.usefixtures("untraced")
def test_a_section_runs_in_short(name: str) -> None:
    section: Section = import_module(f"suite.{name}").run(lambda _text: None, short=True)
    assert section.name == name
    assert section.rows
    assert all(row.measured is not None for row in section.rows)
    text = report.markdown(report.environment(short=True), [section])
    assert all(row.name in text for row in section.rows)
    assert json.loads(json.dumps(asdict(section)))["name"] == name


@pytest.mark.parametrize("engine", stores.ENGINES)
def test_each_replay_store_is_measured_beside_the_bare_operation_and_another_version(engine: str) -> None:
    other = stores.other_version(Path(__file__).parents[1] / "src")
    with stores.ENGINES[engine]([our_stores, other]) as kinds:
        for kind in kinds:
            for callers in kind.callers:
                row = stores.measure(kind, callers, number=256, rounds=1)
                assert len(row) == len(stores.HEADS)
                assert (row[6] == "–") is (kind.bare is None)
                assert float(row[7]) > 0


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
def test_marks_and_key_sets_are_weighed() -> None:
    section = weights.run(lambda _text: None, short=True)
    assert len(section.rows) in (6, 7)  # MariaDB is not everywhere
    assert all(row.measured > 10 for row in section.rows)
    [(_, _, key_sets)] = section.tables
    assert len(key_sets) == 3


def test_each_hostile_shape_is_nearly_16_kib_and_refused_before_a_key_is_used() -> None:
    party = ours.relying_party()
    tenant = party.tenant()
    verifier = ours.Subject([tenant.client()], ours.fetcher(party)).verifier
    shapes = corpus.garbage(tenant)
    assert len(shapes) == 46
    for name, assertion in shapes.items():
        assert 0.9 * hostile.MAX_BYTES < len(assertion) <= hostile.MAX_BYTES, name
        with pytest.raises(InvalidClient) as caught:
            verifier.verify(assertion)
        assert caught.value.reason is not Reason.BAD_SIGNATURE, name
    assert party.transport.count == 0


def test_every_mixture_that_the_search_makes_is_refused() -> None:
    party = ours.relying_party()
    tenant = party.tenant()
    verifier = ours.Subject([tenant.client()], ours.fetcher(party)).verifier
    made: set[str] = set()

    def refuse(mixture: hostile.Mixture) -> float:
        assertion = mixture.assertion(tenant.header(), tenant.claims())
        made.add(mixture.describe())
        assert len(assertion) <= max(mixture.size, 1_200)  # claims that are good need room of their own
        with pytest.raises(InvalidClient):
            verifier.verify(assertion)
        return 0.0

    hostile.search(refuse, rounds=150)
    assert len(made) > 100


def test_the_search_climbs_to_what_costs_most() -> None:
    def cost(mixture: hostile.Mixture) -> float:
        return (mixture.place == "late") + mixture.frame + len(mixture.parts)

    best = hostile.search(cost, rounds=3_000, seed=1)
    assert best[0][0] >= 11  # the last of six frames, six parts, and the place
    assert [figure for figure, _ in best] == sorted((figure for figure, _ in best), reverse=True)
    assert hostile.search(cost, rounds=3_000, seed=1) == best


@pytest.mark.slow
@pytest.mark.parametrize("on_event", [None, lambda _event: None], ids=["default handler", "event handler"])
@pytest.mark.usefixtures("untraced")  # the tracer takes the interpreter's part of the cost many times over
def test_no_refusal_that_a_short_search_finds_costs_more_than_the_target(on_event: OnEvent | None) -> None:
    # Twice: what is dear is so again, and a busy machine is not.
    cost, mixture = min((find_dearest(600, on_event=on_event)[0] for _ in range(2)), key=lambda found: found[0])
    assert cost <= LIMIT, mixture.describe()


def test_a_ratio_is_that_of_rounds_side_by_side() -> None:
    slow = CodePath("slow", lambda items: 3.0 * len(items), range(10))
    measured = interleave([slow], CodePath("floor", lambda items: 2.0 * len(items), range(10)), rounds=5, size=4)
    assert measured["slow"].ratios == [1.5] * 5
    assert measured["slow"].microseconds == Spread(3e6, 3e6, 3e6)


def test_items_that_are_used_up_come_again_after_a_renewal() -> None:
    renewed: list[int] = []
    seen: list[int] = []

    def run(items: Items) -> float:
        seen.extend(items)
        return 1.0

    path = CodePath("x", run, range(5), lambda: renewed.append(1))
    for _ in range(4):
        path.block(2)
    assert seen == [0, 1, 2, 3, 0, 1, 2, 3]
    assert len(renewed) == 1


def test_a_spread_is_the_median_and_the_outer_tenths() -> None:
    assert Spread.of([float(number) for number in range(101)]) == Spread(50, 10, 90)
    assert Spread.of([7.0]) == Spread(7, 7, 7)
    assert percentiles([number / 1e6 for number in range(1, 1_001)])["p99"] == pytest.approx(991)


def test_what_was_to_be_refused_and_was_not_is_an_error() -> None:
    with pytest.raises(AssertionError, match="2 of 2"):
        refusals(str, [1, 2], ValueError)


def test_a_failure_in_a_process_of_its_own_is_raised_with_its_traceback() -> None:
    with pytest.raises(ValueError, match="Expecting") as caught:
        in_own_process(json.loads, "{")
    assert "raw_decode" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("row", "met"),
    [
        (Row("x", 1.0), None),
        (Row("x", 1.0, limit=1.0), True),
        (Row("x", 1.1, limit=1.0), False),
        (Row("x", 1.1, limit=1.0, at_most=False), True),
    ],
)
def test_a_target_is_met_or_not(row: Row, met: bool | None) -> None:
    assert row.met is met


@pytest.mark.parametrize("usual", [0.14, 0.42, 1.68, 8.8, 139])
def test_a_path_that_becomes_15_percent_dearer_misses_its_target_and_noise_does_not(usual: float) -> None:
    limit = report.at_most(usual)
    assert Row("x", usual * 1.08, limit=limit).met
    assert not Row("x", usual * 1.15, limit=limit).met


@pytest.mark.parametrize("usual", [0.98, 1.8])
def test_a_rate_that_falls_by_15_percent_misses_its_target_and_noise_does_not(usual: float) -> None:
    limit = report.at_least(usual)
    assert Row("x", usual / 1.08, limit=limit, at_most=False).met
    assert not Row("x", usual * 0.85, limit=limit, at_most=False).met


def test_an_older_version_is_checked_out_and_given_the_names_that_it_has() -> None:
    def older(*, jwks: object) -> None: ...

    def newer(*, fetcher: object) -> None: ...

    assert ours.settings(older, fetcher=1) == {"jwks": 1}
    assert ours.settings(newer, fetcher=1) == {"fetcher": 1}


def test_the_figure_has_a_bar_for_each_library_that_was_measured_the_cheapest_first(tmp_path: Path) -> None:
    whole = {"what": "whole verification", "checked": 9, "checks": 20}
    data = {
        "slower & whole": {"ratios": [9.0, 9.2, 9.4], **whole},
        "private-key-jwt": {"ratios": [1.5, 1.6, 1.7], **whole, "checked": 20},
        "not here": {"absent": "it is not installed"},
    }
    light, dark = figure.draw(data, tmp_path)
    for path in (light, dark):
        texts = [each.text for each in ET.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")]
        assert texts[-5:-1] == [
            "private-key-jwt",
            "1.6 ×, 20 of 20 kinds of check",
            "slower & whole",
            "9.2 ×, 9 of 20 kinds of check",
        ]
    assert light.read_text() != dark.read_text()
