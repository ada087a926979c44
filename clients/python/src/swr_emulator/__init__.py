"""Private emulators of Huawei Cloud SWR for tests.

    with Emulator(seed=SEED) as emulator:
        emulator.push("group/busybox:v2")
        emulator.assert_fired("group/busybox:v2", "on-push")

With pytest, the fixtures `swr` and `swr_emulator` do the first line.
"""

from ._binary import find_binary
from ._emulator import Credentials, Emulator
from ._http import RequestError
from ._image import ImageName
from ._process import EmulatorError, Seed, StartError
from ._records import (
    Decision,
    Explained,
    HistoryEntry,
    Push,
    Request,
    Rollout,
    Until,
    Workload,
)

__all__ = [
    "Credentials",
    "Decision",
    "Emulator",
    "EmulatorError",
    "Explained",
    "HistoryEntry",
    "ImageName",
    "Push",
    "Request",
    "RequestError",
    "Rollout",
    "Seed",
    "StartError",
    "Until",
    "Workload",
    "find_binary",
]
