"""The pytest plugin, as it reports tests that fail."""

import re

import pytest

from test_shortest import SEED

FAILING = f"""
import http.client

import pytest
from swr_emulator import RequestError

SEED = '''{SEED}'''

@pytest.mark.swr(seed=SEED)
def test_fails(swr):
    swr.push("group/busybox:v2")
    swr.wait("group/busybox:v2")
    with pytest.raises(RequestError):
        swr.push("missing/busybox:v2")
    # Neither the package's own questions nor the challenge before a login are signs of a fault.
    with pytest.raises(RequestError):
        swr.explain("group/missing:v2")
    registry = http.client.HTTPConnection(swr.registry)
    registry.request("GET", "/v2/")
    assert registry.getresponse().status == 401
    registry.close()
    assert False
"""

SHARED = f"""
import pytest

@pytest.fixture(scope="session")
def swr_seed():
    return '''{SEED}'''

def test_passes(swr_emulator):
    swr_emulator.advance("1h")
    swr_emulator.push("group/busybox:v1")

def test_fails(swr_emulator):
    swr_emulator.push("group/busybox:v2")
    swr_emulator.assert_not_fired("group/busybox:v2", "on-push")

def test_fails_without_an_emulator():
    assert False
"""


def sections(output: str) -> list[str]:
    """The sections of the plugin in the output of pytest."""
    found = re.split(r"^-+ swr-emulator -+$", output, flags=re.MULTILINE)[1:]
    return [re.split(r"^[-_=]{3}", section, flags=re.MULTILINE)[0] for section in found]


def test_the_report_of_a_failed_test_has_its_firings_and_refused_requests(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(FAILING)
    result = pytester.runpytest_inprocess("-v")
    result.assert_outcomes(failed=1)
    [section] = sections(result.stdout.str())
    pushes, refused = section.strip().split("\n\n")
    assert re.fullmatch(
        r"pushes:\npush 1 of group/busybox:v2 by admin \(sha256:\w+\):\n  on-push fired: success", pushes
    )
    title, line = refused.splitlines()
    assert title == "refused requests:"
    assert line.startswith("403 GET /swr/auth/v2/registry/auth/?"), line
    assert line.endswith(" RegistryToken DENIED: the organization missing does not exist"), line


def test_without_verbosity_there_is_no_section(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILING)
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    assert sections(result.stdout.str()) == []


def test_the_report_on_the_shared_emulator_has_what_the_failed_test_did(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(SHARED)
    result = pytester.runpytest_inprocess("-v")
    result.assert_outcomes(passed=1, failed=2)
    output = result.stdout.str()
    [section] = sections(output)
    assert "of group/busybox:v2" in section and "of group/busybox:v1" not in section
    # The record, at the line of the test: the inside of this package is of no interest.
    assert "E       AssertionError: on-push fired for group/busybox:v2" in output
    assert "_emulator.py:" not in output


def test_the_report_of_workers_reaches_the_reader(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILING)
    result = pytester.runpytest_inprocess("-v", "-n", "1")
    result.assert_outcomes(failed=1)
    assert len(sections(result.stdout.str())) == 1


def test_an_emulator_that_was_stopped_spoils_no_report(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_fails(swr):\n    swr.stop()\n    assert False")
    result = pytester.runpytest_inprocess("-v")
    result.assert_outcomes(failed=1)
    [section] = sections(result.stdout.str())
    assert "the emulator does not answer" in section


def test_the_marker_takes_a_file_beside_the_test_and_refuses_what_it_does_not_know(
    pytester: pytest.Pytester,
) -> None:
    pytester.mkdir("below").joinpath("seed.yaml").write_text(SEED)
    pytester.makepyfile(
        **{
            "below/test_seed": """
                import pathlib
                import pytest

                @pytest.mark.swr(seed=pathlib.Path("seed.yaml"))
                def test_passes(swr):
                    assert len(swr.explain("group/busybox:v2")) == 1

                @pytest.mark.swr(sed="organizations: []")
                def test_is_refused(swr):
                    pass
            """
        }
    )
    result = pytester.runpytest_inprocess("--strict-markers")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the marker swr takes seed=* and not sed*"])
