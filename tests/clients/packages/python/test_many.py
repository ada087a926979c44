"""The shortest test many times over: no run knows of another one. SAMPLE_RUNS says how often."""

import os

import pytest
from swr_emulator import Emulator

from test_shortest import SEED, test_a_push_deploys as deploy

RUNS = int(os.environ.get("SAMPLE_RUNS", "200"))


@pytest.mark.swr(seed=SEED)
@pytest.mark.parametrize("run", range(RUNS))
def test_each_run_has_an_emulator_of_its_own(swr: Emulator, run: int) -> None:
    assert swr.requests("PutManifest") == []
    deploy(swr)
    assert len(swr.requests("PutManifest")) == 1
