"""What the emulator tells of pushes and requests, and how it reads as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypedDict


Until = Literal["fired", "healthy"]
"""How far to wait: until the cluster took the update, or until its rollout is healthy."""


class Rollout(TypedDict):
    """What came of an update once the cluster had taken it."""

    state: Literal["progressing", "healthy", "degraded", "unknown"]
    reason: str
    message: str
    observed: str
    since: str


class Workload(TypedDict):
    """The workload that a firing chose."""

    cluster: str
    namespace: str
    kind: Literal["deployments", "statefulsets"]
    name: str
    container: str


class _Landed(TypedDict, total=False):
    workload: Workload
    rollout: Rollout


class HistoryEntry(_Landed):
    """An entry of a trigger's history: the trigger as it was when it fired, and the result."""

    action: str
    app_type: str
    application: str
    cluster_id: str
    cluster_name: str
    cluster_ns: str
    condition: str
    container: str
    created_at: str
    creator_name: str
    detail: str
    result: Literal["success", "failed"]
    tag: str


class _Decided(TypedDict):
    trigger: str
    fires: bool
    reason: str


class Decision(_Decided, _Landed, total=False):
    """What a push did to a trigger. Without a result, its firing has not ended."""

    result: Literal["success", "failed"]
    detail: str
    tries: int
    last_answer: str
    next_try_at: str


class _Pushed(TypedDict):
    id: int
    tag: str
    digest: str
    pushed_by: str
    pushed_at: str
    triggers: list[Decision]
    trigger_count: int


class Push(_Pushed, total=False):
    """A push with the fate of each trigger of its repository, and its address in the console."""

    request_id: str
    page: str


class Explained(TypedDict):
    """The effect that a push would have."""

    trigger: str
    fires: bool
    outcome: Literal["updates", "unchanged", "fails", "skipped"]
    reason: str
    patch: dict[str, Any] | None


class Request(TypedDict):
    """A request to the emulator, without its body and without secrets."""

    operation: str
    method: str
    path: str
    caller: str
    status: int
    code: str | None
    message: str | None
    body_bytes: int
    milliseconds: float
    time: str
    request_id: str


def describe_push(image: str, push: Push) -> list[str]:
    """The decision record of a push: a line for it and one for each trigger."""
    lines = [f"push {push['id']} of {image} by {push['pushed_by']} ({push['digest']}):"]
    lines += [f"  {_describe(decision)}" for decision in push["triggers"]]
    if not push["triggers"]:
        lines.append("  the repository had no triggers")
    unnamed = push["trigger_count"] - len(push["triggers"])
    if unnamed > 0:
        lines.append(f"  and {unnamed} more triggers")
    page = push.get("page")
    if page and any(d["fires"] and d.get("result") != "success" for d in push["triggers"]):
        lines.append(f"  see {page}")
    return lines


def _describe(decision: Decision) -> str:
    name, reason = decision["trigger"], decision["reason"]
    if not decision["fires"]:
        return f"{name} did not fire: {reason}"
    result = decision.get("result")
    if result is None:
        last = decision.get("last_answer")
        return f"{name} fired: {reason}" + (f" (last answer: {last})" if last else "")
    detail = decision.get("detail")
    tries = decision.get("tries", 1)
    text = f"{name} fired: {result}" + (f", {detail}" if detail else "")
    text = text if tries == 1 else f"{text} ({tries} tries)"
    rollout = decision.get("rollout")
    if rollout is None or rollout["state"] == "healthy":
        return text
    told = [rollout["state"], rollout["reason"], rollout["message"]]
    return f"{text}; rollout {': '.join(part for part in told if part)}"


def refused(requests: Iterable[Request]) -> list[Request]:
    """Those that were refused, but for what is no sign of a fault: the challenge that begins each
    login at the registry, and this package's own questions."""
    return [
        request
        for request in requests
        if not 100 <= request["status"] < 400
        and not (request["operation"] == "Base" and request["status"] == 401)
        and not request["operation"].startswith("Emulator")
    ]


def describe_request(request: Request) -> str:
    status = request["status"] or "cut"
    line = f"{status} {request['method']} {request['path']} {request['operation']}"
    code, message = request["code"], request["message"]
    return line if code is None else f"{line} {code}: {message}"
