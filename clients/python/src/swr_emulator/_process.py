"""The program as a child of this process, which it does not outlive."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from ._binary import find_binary

Seed = str | os.PathLike[str] | Mapping[str, Any]
"""The text of a seed file, the path of one, or its content as dictionaries and lists."""

_PREFIX = "SWR_EMULATOR_"
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0


class EmulatorError(Exception):
    """The base of this package's errors, other than failed assertions."""


class StartError(EmulatorError):
    """The program did not start; the message is its own."""


class Process:
    """A running emulator with a temporary data folder and a free port."""

    def __init__(self, seed: Seed | None, args: Sequence[str]) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()
        try:
            with tempfile.TemporaryDirectory(prefix="swr-seed-") as folder:
                own = ["--ephemeral", "--listen=127.0.0.1:0", "--exit-with-stdin"]
                own += ["--log-level=warn", *_seed_arguments(seed, Path(folder))]
                self._child = subprocess.Popen(
                    [find_binary(), *own, *args],
                    env=_environment(),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=self._log,
                    # Ctrl-C is for the test runner, which then stops the emulator.
                    start_new_session=True,
                )
                self.url = self._first_line(folder)
        except BaseException:
            self._log.close()
            raise

    def _first_line(self, folder: str) -> str:
        """Where the program listens; its seed file is in the folder."""
        assert self._child.stdout is not None
        late = threading.Timer(_START_SECONDS, self._child.kill)
        late.start()
        try:
            line = self._child.stdout.readline().decode()
        finally:
            late.cancel()
        begin = "listening on "
        if line.startswith(begin):
            return line[len(begin) :].strip()
        self._child.kill()
        self._close_pipes()
        code = self._child.wait()
        reason = self.log().strip().replace(f"{folder}/", "")
        raise StartError(reason or f"the emulator ended with {code} before it was ready")

    def log(self) -> str:
        """What it has written to its standard error, warnings and errors unless told otherwise."""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def stop(self) -> None:
        """Ends it in order, which removes its data folder."""
        self._close_pipes()
        try:
            self._child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._log.close()

    def _close_pipes(self) -> None:
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                pipe.close()


def _seed_arguments(seed: Seed | None, folder: Path) -> list[str]:
    if seed is None:
        return []
    if isinstance(seed, os.PathLike):
        return [f"--seed={os.fspath(seed)}"]
    file = folder / "seed"
    file.write_text(seed_text(seed), encoding="utf-8")
    return [f"--seed={file}"]


def seed_text(seed: Seed) -> str:
    """The text of a seed."""
    if isinstance(seed, os.PathLike):
        return Path(seed).read_text(encoding="utf-8")
    if isinstance(seed, str):
        if seed and ":" not in seed and "\n" not in seed:
            raise ValueError(
                f"seed: {seed!r} is not the text of a seed file; pass pathlib.Path({seed!r}) for "
                "the path of one"
            )
        return seed
    # JSON is YAML.
    return json.dumps(seed)


def _environment() -> dict[str, str]:
    """Without the settings of an emulator that somebody else has started or is about to."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}


def printed_variables(url: str) -> dict[str, str]:
    """The variables that `swr-emulator env` prints for the emulator at a URL."""
    command = [str(find_binary()), "env", "--for=shell", f"--url={url}", "--check"]
    done = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise EmulatorError(done.stderr.strip())
    words = (word for line in done.stdout.splitlines() for word in shlex.split(line)[1:])
    return dict(word.split("=", 1) for word in words)
