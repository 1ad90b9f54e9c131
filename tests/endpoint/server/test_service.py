"""The endpoint stays up: it says whether it works, sheds what it can't take, outlives its workers and keeps quiet."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests

from schemas.contract import OPERATIONS
from schemas.documents import DOCUMENTS
from tests.endpoint.conftest import RunningEndpoint, Start
from tests.endpoint.simple_reader import BROKEN, DEADLY, ENDLESS, FRONT, SECRET, SLOW, image_of

pytestmark = pytest.mark.slow


def test_openapi_lists_the_nine_calls_and_every_document_type(endpoint: RunningEndpoint) -> None:
    described = requests.get(f"{endpoint.root_url}/openapi.json", timeout=60).json()
    calls = {
        (path, method, way)
        for path, methods in described["paths"].items()
        for method, call in methods.items()
        for parameter in call.get("parameters", [])
        if parameter["name"] == "format_type"
        for way in parameter["schema"]["enum"]
    }
    assert calls == {
        (f"/api/{version}/{path}", method, way)
        for version in ("v2", "v3")
        for path in OPERATIONS
        for method, way in (("get", "url"), ("post", "file"), ("post", "base64"))
    }
    assert set(DOCUMENTS) < set(described["components"]["schemas"])
    fields = described["components"]["schemas"]["driving_license_info"]["properties"]
    assert list(fields) == [field.name for field in DOCUMENTS["driving_license"]]


def test_openapi_describes_what_a_call_takes(endpoint: RunningEndpoint) -> None:
    call = requests.get(f"{endpoint.root_url}/openapi.json", timeout=60).json()["paths"]["/api/v2/ekyc/cards"]["post"]
    assert {parameter["name"] for parameter in call["parameters"]} == {"format_type", "get_thumb"}
    assert {kind: body["schema"]["required"] for kind, body in call["requestBody"]["content"].items()} == {
        "multipart/form-data": ["img1", "img2"],
        "application/json": ["img1", "img2"],
    }
    assert set(call["responses"]) == {"200", "408", "413", "503", "504"}
    assert call["security"]


def test_the_docs_page_is_there(endpoint: RunningEndpoint) -> None:
    page = requests.get(f"{endpoint.root_url}/docs", timeout=60)
    assert (page.status_code, "/api/v2/ekyc/card" in page.text, "/openapi.json" in page.text) == (200, True, True)
    assert ("://" in page.text, "<script" in page.text) == (False, False)
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_health_is_said_without_credentials(endpoint: RunningEndpoint) -> None:
    response = requests.get(f"{endpoint.root_url}/healthz", timeout=60)
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_a_full_queue_is_http_503_with_retry_after(start: Start) -> None:
    endpoint = start("--workers=1", "--max_waiting=1")
    with ThreadPoolExecutor(6) as threads:
        responses = list(threads.map(lambda _: endpoint.post_file("ekyc/card", image_of(SLOW)), range(6)))
    statuses = sorted(response.status_code for response in responses)
    assert (statuses[:2], statuses[-1]) == ([200, 200], 503)
    assert {response.headers.get("Retry-After") for response in responses if response.status_code == 503} == {"1"}
    assert endpoint.post_file("ekyc/card", image_of(FRONT)).status_code == 200


def test_a_killed_worker_costs_no_answer(start: Start) -> None:
    endpoint = start("--workers=1")
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(endpoint.post_file, "ekyc/card", image_of(SLOW))
        endpoint.wait_until_reading()
        os.kill(endpoint.workers()[0].pid, signal.SIGKILL)
        assert reading.result().status_code == 200
    assert endpoint.post_file("ekyc/card", image_of(FRONT)).status_code == 200
    assert requests.get(f"{endpoint.root_url}/healthz", timeout=60).status_code == 200


def test_an_image_that_kills_or_holds_its_worker_is_said_and_the_next_is_read(start: Start) -> None:
    """No image is HTTP 500: one that the reader dies of, or fails on, cannot be read."""
    endpoint = start("--workers=1", "--card_timeout_s=1")
    for colour, code in {DEADLY: "3", BROKEN: "3", FRONT: "0"}.items():
        response = endpoint.post_file("ekyc/card", image_of(colour))
        assert (response.status_code, response.json()["errorCode"]) == (200, code)
    assert endpoint.post_file("ekyc/card", image_of(ENDLESS)).status_code == 504
    assert endpoint.post_file("ekyc/card", image_of(FRONT)).status_code == 200


def test_a_wrong_password_is_answered_late_and_keeps_nobody_waiting(endpoint: RunningEndpoint) -> None:
    url = f"{endpoint.base_url}/ekyc/card?format_type=file"
    with ThreadPoolExecutor(1) as threads:
        started = time.monotonic()
        wrong = threads.submit(requests.post, url, auth=("a-key", "guess"), timeout=60)
        assert endpoint.post_file("ekyc/card", image_of(FRONT)).json()["errorCode"] == "0"
        answered = wrong.result()
    assert (answered.json()["errorCode"], time.monotonic() - started >= 1.0) == ("5", True)


def test_time_in_which_the_server_was_suspended_is_on_no_image_s_account(start: Start) -> None:
    endpoint = start("--workers=1", "--card_timeout_s=1")
    [worker] = endpoint.workers()
    with ThreadPoolExecutor(1) as threads:
        reading = threads.submit(endpoint.post_file, "ekyc/card", image_of(SLOW))
        endpoint.wait_until_reading()
        worker.suspend()
        endpoint.process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        endpoint.process.send_signal(signal.SIGCONT)
        time.sleep(0.3)  # the server looks before the worker can answer
        worker.resume()
        assert reading.result().status_code == 200
    assert endpoint.workers() == [worker]


@pytest.mark.parametrize("path", ["?format_type=base64", "?format_type=file"])
def test_a_body_that_does_not_arrive_is_http_408_and_gives_its_place_back(start: Start, path: str) -> None:
    endpoint = start("--workers=1", "--max_waiting=1", "--body_timeout_s=0.5", "--allow_anonymous")
    head = f"POST /api/v2/ekyc/card{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
    form = "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    host, port = endpoint.root_url.removeprefix("http://").split(":")
    with ExitStack() as sockets:
        for _ in range(2):
            slow = sockets.enter_context(socket.create_connection((host, int(port)), timeout=60))
            slow.sendall(f"{head}{form}".encode())
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")
    assert endpoint.post_file("ekyc/card", image_of(FRONT)).status_code == 200


def test_a_client_that_goes_away_leaves_nothing_behind(start: Start) -> None:
    endpoint = start("--workers=1", "--max_waiting=1", "--allow_anonymous")
    head = "POST /api/v2/ekyc/card?format_type=base64 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"
    host, port = endpoint.root_url.removeprefix("http://").split(":")
    for _ in range(5):
        with socket.create_connection((host, int(port)), timeout=60) as leaving:
            leaving.sendall(head.encode())
    give_up_at = time.monotonic() + 30  # the server hears of it when its turn comes
    while endpoint.post_file("ekyc/cards", *[image_of(FRONT)] * 2).status_code != 200:
        assert time.monotonic() < give_up_at
    assert "Traceback" not in endpoint.log_path.read_text()


def test_every_answer_is_held_back_by_the_latency_asked_for(start: Start) -> None:
    endpoint = start("--workers=1", "--latency_s=0.4")
    with ThreadPoolExecutor(8) as threads:
        started = time.monotonic()
        responses = list(threads.map(lambda _: endpoint.post_file("ekyc/card", image_of(FRONT)), range(8)))
        took_s = time.monotonic() - started
    assert {response.status_code for response in responses} == {200}
    assert min(response.elapsed.total_seconds() for response in responses) >= 0.4
    assert took_s < 8 * 0.4, "answers are held back beside each other, not one after the other"


def test_the_log_tells_nothing_of_images_or_queries(start: Start) -> None:
    endpoint = start("--workers=1")
    endpoint.post_file("ekyc/card", image_of(FRONT), record="a-query-value")
    endpoint.post_file("ekyc/card", image_of(BROKEN))
    endpoint.process.terminate()
    assert endpoint.process.wait(timeout=60) == 0
    log = endpoint.log_path.read_text()
    given = re.findall(
        r"^\S+ \S+ ([A-Z]+ endpoint.*)$", log, flags=re.MULTILINE
    )  # loky counts its semaphores there, too
    assert given == [
        "INFO endpoint: reads cards with 1 workers",
        re.search(
            r"ERROR endpoint.server.app: errorCode 3: the reader failed on an image RuntimeError at \S+:\d+", log
        )[0],
        "INFO endpoint: stopped after 1 answers",
    ]
    assert SECRET not in log
