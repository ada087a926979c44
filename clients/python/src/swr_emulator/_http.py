"""HTTP with what the standard library has."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit

from ._process import EmulatorError

_SECONDS = 60.0


class RequestError(EmulatorError):
    """The emulator has refused a request."""

    def __init__(self, request: str, answer: Answer) -> None:
        self.status = answer.status
        self.code, self.reason = answer.failure()
        super().__init__(f"{request}: {self.status} {self.code} {self.reason}".rstrip())


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    def failure(self) -> tuple[str, str]:
        """Code and message of an error, as the management API or the registry sends it."""
        try:
            body = self.json()
            if "error_code" in body:
                return str(body["error_code"]), str(body["error_msg"])
            first = body["errors"][0]
            return str(first["code"]), str(first["message"])
        except (ValueError, TypeError, LookupError):
            return "", self.body.decode(errors="replace")


class Connection:
    """A connection to the emulator for a few requests."""

    def __init__(self, url: str, headers: Mapping[str, str], seconds: float = _SECONDS) -> None:
        # Directly: a proxy of the environment does not know this machine.
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=seconds)
        self._headers = dict(headers)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Sends a request, with JSON unless the body is bytes; any answer will do."""
        given = {name: str(value) for name, value in (query or {}).items() if value is not None}
        target = f"{path}{'&' if '?' in path else '?'}{urlencode(given)}" if given else path
        sent = {**self._headers, **(headers or {})}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        try:
            self._connection.request(method, target, body, sent)
            response = self._connection.getresponse()
            fields = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, fields, response.read())
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            reason = str(error) or type(error).__name__
            raise RequestError(f"{method} {path}", Answer(0, {}, reason.encode())) from error

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The same, where an answer other than 2xx is an error."""
        answer = self.ask(method, path, query, body, headers)
        if not 200 <= answer.status < 300:
            raise RequestError(f"{method} {path}", answer)
        return answer
