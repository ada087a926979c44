"""The package as a test author uses it."""

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import swr_emulator
from swr_emulator import Emulator, EmulatorError, RequestError, StartError

from test_shortest import SEED

IMAGE = "group/busybox:v2"


@pytest.fixture(scope="session")
def swr_seed() -> str:
    return SEED


def answers(url: str) -> bool:
    """Whether somebody listens there."""
    place = urlsplit(url)
    assert place.hostname and place.port
    try:
        socket.create_connection((place.hostname, place.port), 5).close()
    except OSError:
        return False
    return True


def test_a_push_fires_its_trigger(swr: Emulator) -> None:
    digest = swr.push(IMAGE)

    entry = swr.wait(IMAGE, "on-push")
    assert (entry["tag"], entry["result"], entry["application"]) == ("v2", "success", "web")
    assert swr.assert_fired(IMAGE, "on-push") == entry
    push = swr.wait(IMAGE)
    assert (push["digest"], push["triggers"][0]["tries"]) == (digest, 1)
    assert swr.pushes(IMAGE) == [push]
    assert swr.wait(f"{swr.registry}/{IMAGE}") == push


def test_a_pipeline_pushes_again_after_a_fault(swr: Emulator) -> None:
    swr.fault("PutManifest", status=503, retry_after_s=0, times=1, tag="v2")

    def pipeline() -> None:
        for _ in range(3):
            try:
                swr.push(IMAGE)
                return
            except RequestError as error:
                assert (error.status, error.code) == (503, "UNAVAILABLE")

    pipeline()

    swr.assert_fired(IMAGE, "on-push")
    assert [request["status"] for request in swr.requests("PutManifest")] == [201, 503]
    [refused] = swr.requests("PutManifest", status="5xx", namespace="group")
    assert refused["path"] == "/v2/group/busybox/manifests/v2"


def test_a_connection_that_a_fault_cuts_has_no_status(swr: Emulator) -> None:
    swr.fault("FinishUpload", cut=True, times=1)
    with pytest.raises(RequestError) as caught:
        swr.push(IMAGE)
    assert caught.value.status == 0


def test_a_tag_that_does_not_match_fires_nothing_and_the_reason_is_told(swr: Emulator) -> None:
    swr.push("group/busybox:v1.0")

    reason = swr.assert_not_fired("group/busybox:v1.0", "on-push")
    assert reason.startswith("^v[0-9]$ does not match v1.0")
    with pytest.raises(AssertionError) as caught:
        swr.assert_fired("group/busybox:v1.0", "on-push")
    told = str(caught.value).splitlines()
    assert told[0] == f"on-push did not fire for group/busybox:v1.0: {reason}"
    assert told[1].startswith("push 1 of group/busybox:v1.0 by admin (sha256:")
    assert told[2:] == [f"  on-push did not fire: {reason}"]
    with pytest.raises(AssertionError, match="on-push did not fire"):
        swr.wait("group/busybox:v1.0", "on-push")


def test_what_fired_is_no_proof_of_the_contrary(swr: Emulator) -> None:
    swr.push(IMAGE)
    swr.wait(IMAGE)
    with pytest.raises(AssertionError) as caught:
        swr.assert_not_fired(IMAGE, "on-push")
    told = str(caught.value).splitlines()
    assert (told[0], told[2]) == (f"on-push fired for {IMAGE}", "  on-push fired: success")


@pytest.mark.parametrize("check", [Emulator.assert_fired, Emulator.assert_not_fired])
def test_a_misspelt_trigger_and_a_missing_push_prove_nothing(swr: Emulator, check: Any) -> None:
    with pytest.raises(AssertionError, match="No push of group/busybox:v2 arrived in time"):
        check(swr, IMAGE, "on-push", timeout=0.05)
    swr.push(IMAGE)
    with pytest.raises(AssertionError, match="(?s)Not found trigger.*on-push fired"):
        check(swr, IMAGE, "on-psuh")


@pytest.mark.swr(seed=SEED.replace("/group/busybox:v1", "/group/other:v1"))
def test_a_firing_that_failed_is_no_success(swr: Emulator) -> None:
    swr.push(IMAGE)
    assert swr.wait(IMAGE, "on-push")["result"] == "failed"
    with pytest.raises(AssertionError, match="on-push fired for .*, but failed: no container uses"):
        swr.assert_fired(IMAGE, "on-push")
    assert swr.explain(IMAGE)[0]["outcome"] == "fails"


def test_a_later_push_is_waited_for(swr: Emulator) -> None:
    swr.push(IMAGE)
    before = swr.wait(IMAGE)["id"]
    with pytest.raises(AssertionError, match="after the push"):
        swr.wait(IMAGE, after=before, timeout=0.05)
    swr.push(IMAGE)
    assert swr.wait(IMAGE, after=before)["id"] > before


def test_the_same_content_makes_the_same_image(swr: Emulator) -> None:
    digest = swr.push(IMAGE, content="a")
    assert swr.push(IMAGE, content="a") == digest
    assert swr.push(IMAGE, content="b") != digest
    assert swr.push(IMAGE) != swr.push(IMAGE)


def test_an_effect_is_predicted_without_a_push(swr: Emulator) -> None:
    [matching] = swr.explain(IMAGE)
    [other] = swr.explain("group/busybox:latest")
    assert (matching["outcome"], other["outcome"], other["patch"]) == ("updates", "skipped", None)
    assert swr.requests("PutManifest") == []


def test_the_clock_advances_and_a_reset_takes_everything_back(swr: Emulator) -> None:
    swr.advance(timedelta(days=40, milliseconds=1500))
    swr.advance("1h")
    swr.push(IMAGE)
    pushed = datetime.fromisoformat(swr.wait(IMAGE)["pushed_at"])
    assert pushed > datetime.now(timezone.utc) + timedelta(days=40)

    swr.reset()
    assert swr.pushes(IMAGE) == []
    swr.push(IMAGE)
    pushed = datetime.fromisoformat(swr.wait(IMAGE)["pushed_at"])
    assert pushed < datetime.now(timezone.utc) + timedelta(days=1)


def test_the_state_goes_out_as_a_file_and_comes_back(swr: Emulator, tmp_path: Path) -> None:
    swr.push(IMAGE)
    swr.assert_fired(IMAGE, "on-push")
    file = tmp_path / "world.swr"
    swr.save(file)
    assert file.stat().st_mode & 0o777 == 0o600
    swr.reset()
    assert swr.pushes(IMAGE) == []
    swr.load(file)
    swr.assert_fired(IMAGE, "on-push")
    file.write_text("no snapshot")
    with pytest.raises(RequestError, match="400 .*it is not a snapshot"):
        swr.load(file)


def test_a_wait_for_a_healthy_rollout_tells_why_it_does_not_get_through(swr: Emulator) -> None:
    plan = ", rollout: {outcome: CrashLoopBackOff, after: 1h, message: exit code 3}}]}]}]"
    swr.reset(SEED.rstrip().removesuffix("}]}]}]") + plan)
    swr.push(IMAGE)
    swr.assert_fired(IMAGE, "on-push")
    with pytest.raises(AssertionError, match="rollout progressing"):
        swr.wait(IMAGE, "on-push", until="healthy", timeout=0.001)
    swr.advance("1h")
    lost = "^on-push fired for group/busybox:v2, but its rollout is not healthy"
    with pytest.raises(AssertionError, match=lost):
        swr.wait(IMAGE, "on-push", until="healthy")
    with pytest.raises(AssertionError, match="rollout degraded: CrashLoopBackOff: exit code 3$"):
        swr.wait(IMAGE, until="healthy")

    swr.reset(SEED)
    swr.push(IMAGE)
    entry = swr.wait(IMAGE, "on-push", until="healthy")
    assert (entry["rollout"]["state"], entry["workload"]["name"]) == ("healthy", "web")


def test_a_reset_goes_to_another_seed_and_later_ones_too(swr: Emulator, tmp_path: Path) -> None:
    other = {"organizations": [{"name": "other", "repositories": [{"name": "app"}]}]}
    file = tmp_path / "seed.json"
    file.write_text(json.dumps(other))
    for seed in (other, json.dumps(other), file, None):
        swr.reset(seed)
        assert swr.pushes("other/app:v1") == []
        swr.push("other/app:v1")
        with pytest.raises(RequestError, match="404"):
            swr.explain(IMAGE)
    with pytest.raises(RequestError, match="400 .*oranizations"):
        swr.reset("oranizations: []")
    assert len(swr.pushes("other/app:v1")) == 1
    swr.reset(SEED)
    swr.push(IMAGE)
    swr.assert_fired(IMAGE, "on-push")


def test_the_sdk_is_a_client(swr: Emulator) -> None:
    from huaweicloudsdkswr.v2 import ShowTriggerRequest  # type: ignore[import-untyped]

    swr.push(IMAGE)
    swr.wait(IMAGE)
    trigger = swr.client().show_trigger(ShowTriggerRequest("group", "busybox", "on-push"))
    assert [entry.tag for entry in trigger.trigger_history] == ["v2"]


def test_without_the_sdk_it_is_told_what_to_install(
    swr: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huaweicloudsdkswr.v2", None)
    with pytest.raises(EmulatorError, match="pip install huaweicloudsdkswr"):
        swr.client()


def test_the_variables_point_programs_at_it(
    swr: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet")
    # Neither is a setting of this emulator, nor of the one that prints the variables.
    monkeypatch.setenv("SWR_EMULATOR_REGION", "cn-east-3")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    program = "import os; print(os.environ['SWR_EMULATOR_URL'], os.environ['NO_PROXY'])"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **swr.env}, capture_output=True, text=True
    )
    assert done.stdout.split() == [swr.url, "intranet,127.0.0.1,localhost"]
    assert swr.env["SWR_EMULATOR_REGISTRY"] == swr.registry
    assert swr.env["HUAWEICLOUD_SDK_REGION_SWR_CN_NORTH_4"] == swr.url
    assert swr.env["HUAWEICLOUD_SDK_AK"] == swr.credentials.access_key
    with Emulator() as other:
        assert other.region == "cn-north-4"


@pytest.mark.swr(args=["--region", "cn-east-3"])
def test_arguments_are_those_of_the_program(swr: Emulator) -> None:
    assert swr.region == "cn-east-3"
    swr.push(IMAGE)
    swr.assert_fired(IMAGE, "on-push")


def test_a_seed_is_a_text_a_file_or_an_object(tmp_path: Path) -> None:
    organizations = {"organizations": [{"name": "group", "repositories": [{"name": "busybox"}]}]}
    file = tmp_path / "seed.json"
    file.write_text(json.dumps(organizations))
    for seed in (organizations, json.dumps(organizations), file):
        with Emulator(seed) as emulator:
            assert emulator.explain(IMAGE) == []


def test_a_start_that_fails_says_why(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="^error: seed:1: oranizations: is unknown"):
        Emulator("oranizations: []").start()
    with pytest.raises(StartError, match="unexpected argument '--sed'"):
        Emulator(args=["--sed"]).start()
    with pytest.raises(ValueError, match="pass pathlib.Path"):
        Emulator("seed.yaml").start()
    with pytest.raises(ValueError, match="like group/busybox:v2"), Emulator() as emulator:
        emulator.push("busybox")


def test_no_file_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Emulator(SEED) as emulator:
        emulator.push(IMAGE)
        assert list(tmp_path.iterdir()) != []
    with pytest.raises(StartError):
        Emulator("oranizations: []").start()
    assert list(tmp_path.iterdir()) == []


def test_the_session_has_one_emulator_and_a_test_its_own(
    swr: Emulator, swr_emulator: Emulator
) -> None:
    assert swr.url != swr_emulator.url
    tag = f"v{os.getpid()}"
    swr_emulator.push(f"group/busybox:{tag}")
    swr_emulator.wait(f"group/busybox:{tag}")
    assert swr.requests("PutManifest") == []


def test_nothing_listens_after_the_end() -> None:
    with Emulator() as emulator:
        url = emulator.url
        assert answers(url)
        with pytest.raises(EmulatorError, match="running already"):
            emulator.start()
    assert not answers(url)
    with pytest.raises(EmulatorError, match="not running"):
        emulator.push(IMAGE)
    with emulator:
        assert answers(emulator.url)


def test_an_emulator_does_not_outlive_a_killed_test_runner() -> None:
    program = "from swr_emulator import Emulator; import time\n"
    program += "print(Emulator().start().url, flush=True); time.sleep(600)"
    runner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    url = runner.stdout.readline().strip()
    assert answers(url)

    runner.send_signal(signal.SIGKILL)
    runner.wait()
    runner.stdout.close()

    late = time.monotonic() + 60
    while answers(url):
        assert time.monotonic() < late
        time.sleep(0.01)


def test_the_program_is_that_of_the_package_or_of_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed = swr_emulator.find_binary()
    assert installed.parent == Path(sysconfig.get_path("scripts"))
    monkeypatch.setenv("SWR_EMULATOR_BINARY", str(installed))
    assert swr_emulator.find_binary() == installed
    monkeypatch.setenv("SWR_EMULATOR_BINARY", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match="SWR_EMULATOR_BINARY names .*/none, which is not"):
        swr_emulator.find_binary()
    monkeypatch.delenv("SWR_EMULATOR_BINARY")
    monkeypatch.setattr("swr_emulator._binary.NAME", "none")
    with pytest.raises(FileNotFoundError, match="set SWR_EMULATOR_BINARY to a program"):
        swr_emulator.find_binary()
