"""Where the program is."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "SWR_EMULATOR_BINARY"
NAME = "swr-emulator"


def find_binary() -> Path:
    """The program that the variable names, or else the one that this package has installed."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        path = Path(chosen)
        if not path.is_file():
            raise FileNotFoundError(f"{VARIABLE} names {chosen}, which is not a file")
        return path
    places = list(dict.fromkeys(_places()))
    for place in places:
        if (place / NAME).is_file():
            return place / NAME
    looked = ", ".join(map(str, places))
    raise FileNotFoundError(
        f"the program {NAME} is not in {looked}; install the wheel of this package for your "
        f"platform again, or set {VARIABLE} to a program that you have built"
    )


def _places() -> Iterator[Path]:
    """The folders into which installers put the programs of a package, the likeliest first."""
    yield Path(sysconfig.get_path("scripts"))
    # An environment that looks into another one, and `pip install --user`.
    yield Path(sys.executable).parent
    scheme = sysconfig.get_preferred_scheme("user")
    yield Path(sysconfig.get_path("scripts", scheme=scheme))
    # `pip install --target` and `--prefix`: beside the package, or above lib/pythonX.Y/site-packages.
    packages = Path(__file__).resolve().parent.parent
    yield packages / "bin"
    if len(packages.parents) > 2:
        yield packages.parents[2] / "bin"
