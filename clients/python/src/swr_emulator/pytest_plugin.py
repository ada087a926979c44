"""The pytest plugin: an emulator for each test, or one for the session.

pytest loads it by itself once the package is installed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from ._emulator import Emulator
from ._process import EmulatorError, Seed

_MARKER = (
    "swr(seed=None, args=()): the seed (a text, a pathlib.Path relative to the test's file, or "
    "dictionaries) and further arguments of the emulator of the fixture `swr`"
)
_EMULATOR = pytest.StashKey[Emulator]()
_BEGIN = pytest.StashKey[datetime]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def swr_seed() -> Seed | None:
    """The seed of each emulator whose test has no seed of its own. Override it in conftest.py."""
    return None


@pytest.fixture(scope="session")
def swr_emulator(request: pytest.FixtureRequest, swr_seed: Seed | None) -> Iterator[Emulator]:
    """One emulator for all tests of the session."""
    with Emulator(swr_seed) as emulator:
        request.session.stash[_EMULATOR] = emulator
        yield emulator
        del request.session.stash[_EMULATOR]


@pytest.fixture
def swr(request: pytest.FixtureRequest, swr_seed: Seed | None) -> Iterator[Emulator]:
    """An emulator for this test alone, as the marker `swr` says."""
    with _emulator(request, swr_seed) as emulator:
        request.node.stash[_EMULATOR] = emulator
        yield emulator
        del request.node.stash[_EMULATOR]


def _emulator(request: pytest.FixtureRequest, seed: Seed | None) -> Emulator:
    marker = request.node.get_closest_marker("swr")
    if marker is None:
        return Emulator(seed)
    unknown = [*map(repr, marker.args), *(marker.kwargs.keys() - {"seed", "args"})]
    if unknown:
        names = ", ".join(unknown)
        raise EmulatorError(f"the marker swr takes seed=… and args=[…], and not {names}")
    seed = marker.kwargs.get("seed", seed)
    if isinstance(seed, Path):
        seed = request.path.parent / seed
    return Emulator(seed, marker.kwargs.get("args", ()))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_BEGIN] = datetime.now(timezone.utc)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and item.config.get_verbosity() > 0:
        report.sections += [("swr-emulator", text) for text in _sections(item) if text]
    return report


def _sections(item: pytest.Item) -> Iterator[str]:
    """What the emulators of a test have to tell of it."""
    own = item.stash.get(_EMULATOR, None)
    if own is not None:
        yield _report(own, None)
    shared = item.session.stash.get(_EMULATOR, None)
    if shared is not None and "swr_emulator" in getattr(item, "fixturenames", ()):
        yield _report(shared, item.stash.get(_BEGIN, None))


def _report(emulator: Emulator, since: datetime | None) -> str:
    try:
        return emulator.report(since)
    except (EmulatorError, OSError) as error:
        # The test may have stopped it, or broken it on purpose.
        return f"the emulator does not answer: {error}"
