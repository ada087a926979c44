"""An emulator of one's own, from start to stop."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from tempfile import NamedTemporaryFile
from types import TracebackType
from typing import Any, cast, overload
from urllib.parse import urlsplit

from ._http import Answer, Connection, RequestError
from ._image import ImageName, push
from ._process import EmulatorError, Process, Seed, printed_variables, seed_text
from ._records import (
    Decision,
    Explained,
    HistoryEntry,
    Push,
    Request,
    Until,
    describe_push,
    describe_request,
    refused,
)

_MOST_LINES = 20
_PAGE = 1000


@dataclass(frozen=True)
class Credentials:
    """The built-in account, whose keys everybody knows."""

    access_key: str = "SWREMULATOR000000001"
    secret_key: str = field(default="SwrEmulatorExampleSecretKey0000000000001", repr=False)
    project_id: str = "00000000000000000000000000000001"
    token: str = field(default="swr-emulator", repr=False)

    def registry_login(self, region: str) -> tuple[str, str]:
        """User and password of the long-term login to the registry."""
        password = hmac.new(self.secret_key.encode(), self.access_key.encode(), hashlib.sha256)
        return f"{region}@{self.access_key}", password.hexdigest()


class Emulator:
    """An emulator on a free port with a temporary data folder, for as long as the context lasts.

    `seed` is the text of a seed file, a `pathlib.Path` to one, or its content as dictionaries and
    lists; `args` are further arguments of the program, like `["--region", "cn-east-3"]`. Nothing of
    it outlives this process. The seed file has to keep the built-in account.
    """

    credentials = Credentials()

    def __init__(self, seed: Seed | None = None, args: Sequence[str] = ()) -> None:
        self._seed = seed
        self._args = tuple(args)
        self._process: Process | None = None

    def __enter__(self) -> Emulator:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> Emulator:
        """Starts it, and returns once it serves; for those who cannot use `with`."""
        if self._process is not None:
            raise EmulatorError("the emulator is running already")
        self._process = Process(self._seed, self._args)
        return self

    def stop(self) -> None:
        """Stops it and removes its data."""
        process, self._process = self._process, None
        if process is not None:
            process.stop()
        for name in ("env", "region"):
            self.__dict__.pop(name, None)

    # Where it is, and who may use it

    @property
    def url(self) -> str:
        """The address of all its APIs, like `http://127.0.0.1:40123`."""
        return self._running().url

    @property
    def registry(self) -> str:
        """The host of the registry, like `127.0.0.1:40123`: `{registry}/group/busybox:v2`."""
        return urlsplit(self.url).netloc

    @cached_property
    def region(self) -> str:
        """The region that it emulates."""
        return str(self._send("GET", "/_emulator/health").json()["region"])

    @cached_property
    def env(self) -> dict[str, str]:
        """Variables that point clients at it: `subprocess.run(…, env={**os.environ, **swr.env})`.

        Those that `swr-emulator env` prints, and `NO_PROXY` with this machine added to it.
        """
        variables = printed_variables(self.url)
        for name in ("NO_PROXY", "no_proxy"):
            hosts = [host for host in os.environ.get(name, "").split(",") if host]
            own = [host for host in ("127.0.0.1", "localhost") if host not in hosts]
            variables[name] = ",".join([*hosts, *own])
        return variables

    @property
    def registry_login(self) -> tuple[str, str]:
        """User and password for clients of registries."""
        return self.credentials.registry_login(self.region)

    def client(self) -> Any:
        """An `SwrClient` of the official SDK (package `huaweicloudsdkswr`) with the built-in keys."""
        try:
            from huaweicloudsdkcore.auth.credentials import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
                BasicCredentials,
            )
            from huaweicloudsdkswr.v2 import (  # type: ignore[import-untyped,import-not-found,unused-ignore]
                SwrClient,
            )
        except ImportError as error:
            raise EmulatorError(
                "client() needs the official SDK: pip install huaweicloudsdkswr"
            ) from error
        own = self.credentials
        credentials = BasicCredentials(own.access_key, own.secret_key, own.project_id)
        builder = SwrClient.new_builder().with_credentials(credentials)
        return builder.with_endpoint(self.url).build()

    # Acting

    def push(self, image: str, *, content: str | None = None) -> str:
        """Pushes a small image, as docker would, under a name like `group/busybox:v2`.

        Returns its digest. Each push has a new content unless one is given; the same content makes
        the same image.
        """
        content = secrets.token_hex(16) if content is None else content
        return push(self.url, self.registry_login, self._name(image), content)

    def fault(
        self,
        operation: str,
        *,
        status: int | None = None,
        code: str | None = None,
        times: int | None = None,
        delay_ms: int | None = None,
        retry_after_s: int | None = None,
        cut: bool | None = None,
        cut_after_bytes: int | None = None,
        probability: float | None = None,
        seed: int | None = None,
        namespace: str | None = None,
        repository: str | None = None,
        tag: str | None = None,
        digest: str | None = None,
        caller: str | None = None,
    ) -> None:
        """Makes an operation fail: `fault("PutManifest", status=503, times=1)`."""
        given = {name: value for name, value in locals().items() if value is not None}
        del given["self"]
        self._send("POST", "/_emulator/faults", body=given)

    def advance(self, by: timedelta | str) -> None:
        """Moves the emulator's clock: by a `timedelta`, or a text like `40d` or `1h30m`."""
        if isinstance(by, timedelta):
            by = f"{by // timedelta(milliseconds=1)}ms"
        self._send("POST", "/_emulator/clock", body={"advance": by})

    def reset(self, seed: Seed | None = None) -> None:
        """Returns to the state of a fresh start, clock and faults included.

        With a seed, to the state that it describes, which later resets return to as well.
        """
        body = None if seed is None else seed_text(seed).encode()
        headers = {} if body is None else {"Content-Type": "application/yaml"}
        self._send("POST", "/_emulator/reset", body=body, headers=headers)

    def save(self, file: str | os.PathLike[str]) -> None:
        """Saves the whole state in a file, images and all secrets included, for its owner only."""
        target = Path(file)
        snapshot = self._send("GET", "/_emulator/snapshot").body
        # Beside the file first, so that it is never half there.
        with NamedTemporaryFile(dir=target.parent, delete=False) as beside:
            beside.write(snapshot)
        os.replace(beside.name, target)

    def load(self, file: str | os.PathLike[str]) -> None:
        """Replaces the whole state by a saved one, which later resets return to as well."""
        self._send("POST", "/_emulator/snapshot", body=Path(file).read_bytes())

    # Asking

    @overload
    def wait(
        self,
        image: str,
        trigger: str,
        *,
        after: int | None = None,
        until: Until = "fired",
        timeout: float = 10.0,
    ) -> HistoryEntry: ...

    @overload
    def wait(
        self,
        image: str,
        *,
        after: int | None = None,
        until: Until = "fired",
        timeout: float = 10.0,
    ) -> Push: ...

    def wait(
        self,
        image: str,
        trigger: str | None = None,
        *,
        after: int | None = None,
        until: Until = "fired",
        timeout: float = 10.0,
    ) -> HistoryEntry | Push:
        """Waits for the newest push of a tag, or the next one if there is none yet, and its firings.

        With `trigger`: returns its history entry, whatever the result; fails as soon as it is known
        that the trigger does not fire. Without: returns the push once none of its firings is
        pending. With `until="healthy"`: only once the rollouts are healthy; fails as soon as one
        cannot become healthy. With `after`, the `id` of a push, only a later push counts. What fails
        is an `AssertionError` with the decision record of the push.
        """
        __tracebackhide__ = True
        name = self._name(image)
        answer = self._wait(name, trigger, after, timeout, until)
        if answer.status != 200:
            raise self._failed(name, trigger, answer)
        return cast("HistoryEntry | Push", answer.json())

    def assert_fired(self, image: str, trigger: str, *, timeout: float = 10.0) -> HistoryEntry:
        """Asserts that the newest push of a tag fired the trigger, and that this was a success.

        Waits as `wait` does. A failure shows the decision record of the push.
        """
        __tracebackhide__ = True
        name = self._name(image)
        answer = self._wait(name, trigger, None, timeout)
        if answer.status != 200:
            raise self._failed(name, trigger, answer)
        entry = cast(HistoryEntry, answer.json())
        if entry["result"] != "success":
            told = f"{trigger} fired for {name}, but failed: {entry['detail']}"
            raise AssertionError(self._with_record(told, name))
        return entry

    def assert_not_fired(self, image: str, trigger: str, *, timeout: float = 10.0) -> str:
        """Asserts that the newest push of a tag did not fire the trigger; returns the reason.

        Waits for the push as `wait` does. A failure shows the decision record of the push.
        """
        __tracebackhide__ = True
        name = self._name(image)
        answer = self._wait(name, trigger, None, timeout)
        if answer.status == 409:
            decision = cast(Decision, answer.json())
            if not decision["fires"]:
                return decision["reason"]
        elif answer.status != 200:
            raise self._failed(name, trigger, answer)
        raise AssertionError(self._with_record(f"{trigger} fired for {name}", name))

    def pushes(self, image: str) -> list[Push]:
        """The pushes of a tag, newest first, at most 1,000."""
        query = self._name(image).query()
        answer = self._send("GET", "/_emulator/pushes", {**query, "limit": _PAGE})
        return cast("list[Push]", answer.json())

    def explain(self, image: str) -> list[Explained]:
        """The effect that a push of this tag would have now, trigger by trigger."""
        query = self._name(image).query()
        answer = self._send("GET", "/_emulator/explain", {**query, "limit": _PAGE})
        return cast("list[Explained]", answer.json())

    def requests(
        self,
        operation: str | None = None,
        *,
        status: int | str | None = None,
        namespace: str | None = None,
        since: datetime | None = None,
    ) -> list[Request]:
        """The newest 1,000 requests, newest first, or those of one operation, of a status like 404
        or `4xx`, for an organization, or since a time of this machine."""
        query = {
            "operation": operation,
            "status": status,
            "namespace": namespace,
            "since": since and since.astimezone(timezone.utc).isoformat(),
            "limit": _PAGE,
        }
        return cast("list[Request]", self._send("GET", "/_emulator/requests", query).json())

    def report(self, since: datetime | None = None) -> str:
        """Pushes with their firings, refused requests and warnings, as text, at most 20 of each;
        only those since a time of this machine, if one is given. Empty if there are none."""
        parts = [self._pushes_since(since)]
        requests = refused(self.requests(since=since))[:_MOST_LINES]
        parts.append([describe_request(request) for request in reversed(requests)])
        # The log tells no date.
        parts.append(self._running().log().splitlines()[-_MOST_LINES:] if since is None else [])
        titles = ["pushes:", "refused requests:", "log:"]
        told = [[title, *lines] for title, lines in zip(titles, parts) if lines]
        return "\n\n".join("\n".join(lines) for lines in told)

    # What these share

    def _pushes_since(self, since: datetime | None) -> list[str]:
        """The decision records of the newest pushes to any repository, the oldest first."""
        found: list[tuple[int, str, Push]] = []
        begin = ""
        if since is not None:
            # Pushes have the time of the emulator's clock.
            clock = self._send("GET", "/_emulator/clock").json()
            begin = _moment(since + timedelta(seconds=clock["ahead_seconds"]))
        repositories = self._send("GET", "/v2/manage/repos", {"limit": 100}).json()
        for repository in repositories:
            place = {"namespace": repository["namespace"], "repository": repository["name"]}
            answer = self._send("GET", "/_emulator/pushes", {**place, "limit": _MOST_LINES})
            for push in cast("list[Push]", answer.json()):
                if _moment(datetime.fromisoformat(push["pushed_at"])) >= begin:
                    image = f"{place['namespace']}/{place['repository']}:{push['tag']}"
                    found.append((push["id"], image, push))
        newest = sorted(found, key=lambda one: one[0])[-_MOST_LINES:]
        return [line for _, image, push in newest for line in describe_push(image, push)]

    def _running(self) -> Process:
        if self._process is None:
            raise EmulatorError("the emulator is not running: use `with Emulator() as emulator:`")
        return self._process

    def _name(self, image: str) -> ImageName:
        return ImageName.parse(image, self.registry)

    def _connection(self, seconds: float = 60.0) -> Connection:
        return Connection(self.url, {"X-Auth-Token": self.credentials.token}, seconds)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        with self._connection() as connection:
            return connection.send(method, path, query, body, headers)

    def _wait(
        self,
        name: ImageName,
        trigger: str | None,
        after: int | None,
        timeout: float,
        until: Until = "fired",
    ) -> Answer:
        """The answer to a wait, whether it went well or not."""
        path = "/_emulator/wait"
        milliseconds = max(0, round(timeout * 1000))
        query = {
            "trigger": trigger,
            "after": after,
            "until": until,
            "timeout": f"{milliseconds}ms",
        }
        with self._connection(timeout + 60.0) as connection:
            answer = connection.ask("GET", path, {**name.query(), **query})
        if answer.status not in (200, 404, 408, 409):
            raise RequestError(f"GET {path}", answer)
        return answer

    def _failed(self, name: ImageName, trigger: str | None, answer: Answer) -> AssertionError:
        """The failure of an assertion, with the reason that the emulator gives."""
        body = answer.json()
        if answer.status == 409 and not body.get("fires", True):
            told = f"{trigger} did not fire for {name}: {body['reason']}"
        elif answer.status == 409 and ("triggers" in body or "result" in body):
            told = f"{trigger or 'a trigger'} fired for {name}, but its rollout is not healthy"
        else:
            _, reason = answer.failure()
            if answer.status == 409:
                reason = body["reason"]
            elif "triggers" in body:
                reason = "its firings did not end in time"
            which = "a trigger" if trigger is None else trigger
            told = f"whether {which} fired for {name} is not known: {reason}"
        return AssertionError(self._with_record(told, name))

    def _with_record(self, told: str, name: ImageName) -> str:
        with self._connection() as connection:
            query = {**name.query(), "limit": 1}
            answer = connection.ask("GET", "/_emulator/pushes", query)
        pushes = cast("list[Push]", answer.json()) if answer.status == 200 else []
        lines = [line for push in pushes for line in describe_push(str(name), push)]
        return "\n".join([told, *lines])


def _moment(time: datetime) -> str:
    """A time as text that can be compared."""
    return time.astimezone(timezone.utc).isoformat(timespec="microseconds")
