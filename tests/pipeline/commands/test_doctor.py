"""`doctor` names the fault of each broken set-up with what to do, and finds none in a whole one."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
import trustme

from cardbeam.storage.folder import LocalFolder
from pipeline.cli.options import parse_run
from pipeline.commands.doctor import main
from pipeline.launch.checks import check_setup as checkup
from pipeline.launch.checks.check_endpoint import check_clock
from pipeline.launch.checks.check_setup import FAILED, Finding, check_disk, check_store
from tests.pipeline.nights import SECOND, ledger_record, write_run
from tests.servers import Answer, CardServer, InjectedFault, failure
from tests.wire import Received

pytestmark = pytest.mark.usefixtures("credentials")


@pytest.fixture
def images(tmp_path: Path, jpeg: bytes) -> str:
    """One card in a folder."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "card.jpg").write_bytes(jpeg)
    return f"{tmp_path}/in/*.jpg"


@pytest.fixture
def server() -> Iterator[CardServer]:
    """An endpoint that sees no card on a blank image."""
    with CardServer(lambda got: failure("1")) as server:
        yield server


Doctor = Callable[..., tuple[int, list[str], list[str]]]


@pytest.fixture
def doctor(tmp_path: Path, images: str, server: CardServer, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Runs `doctor` with a whole set-up, but for what it is given: exit status, faults, and all lines."""

    def run(**broken: str) -> tuple[int, list[str], list[str]]:
        asked = {"input": images, "output": f"{tmp_path}/out", "endpoint_url": server.base_url, **broken}
        status = main([f"--{name}={value}" for name, value in asked.items()])
        lines = capsys.readouterr().out.splitlines()
        return status, [line for line in lines if line.startswith(FAILED)], lines

    return run


def posts(server: CardServer) -> int:
    """How many calls it got."""
    return sum(got.method == "POST" for got in server.received)


def closed_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_a_whole_set_up_has_no_fault(doctor: Doctor, server: CardServer, tmp_path: Path) -> None:
    """One call is made, and nothing is left in the output."""
    status, faults, lines = doctor()
    assert (status, faults, lines[-1]) == (0, [], "No fault found")
    assert (posts(server), [one for one in (tmp_path / "out").rglob("*") if one.is_file()]) == (1, [])


def answering(**answer: object) -> Callable[[Received], Answer]:
    """An endpoint that answers every call so."""
    return lambda got: Answer(**answer)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "status", "reported", "advice"),
    [
        (lambda got: failure("5"), 5, "(error_5)", "Check CARD_API_KEY and CARD_API_SECRET"),
        (answering(status=401), 5, "HTTP 401", "Check CARD_API_KEY and CARD_API_SECRET"),
        (lambda got: failure("4"), 3, "(error_4)", "Buy requests"),
        (answering(status=404), 2, "HTTP 404", "Check --endpoint_url and --operation"),
        (answering(status=302, headers={"Location": "/login"}), 2, "HTTP 302", "Check --endpoint_url"),
        (answering(body=b"<html>Sign in</html>"), 4, "(bad_reply)", "a proxy or a login page"),
        (answering(status=429), 4, "HTTP 429", "Wait until other users of these credentials send less"),
        (answering(status=503), 4, "HTTP 503", "Ask the vendor"),
        (answering(fault=InjectedFault.RESET), 4, "connection was lost", "Ask the vendor"),
    ],
)
def test_what_the_endpoint_answers_is_named(
    doctor: Doctor, server: CardServer, answer: Callable[[Received], Answer], status: int, reported: str, advice: str
) -> None:
    """With the exit status of a run that would meet it."""
    server.answer = answer
    found, faults, _ = doctor()
    assert found == status
    assert len(faults) == 1
    assert reported in faults[0]
    assert advice in faults[0]


def test_a_slow_endpoint_is_named(doctor: Doctor, server: CardServer) -> None:
    """After the timeout of a call."""
    server.answer = answering(latency_s=5.0)
    status, faults, _ = doctor(timeout_s="0.3")
    assert (status, "Raise --timeout_s" in faults[0]) == (4, True)


def test_an_endpoint_that_cannot_be_reached_is_named(doctor: Doctor) -> None:
    """By the cause: nobody listens, or the name is unknown."""
    for url, cause in (
        (f"http://127.0.0.1:{closed_port()}/api", "no connection: Connection refused"),
        ("https://endpoint.invalid/api", "the name endpoint.invalid cannot be resolved"),
    ):
        status, faults, _ = doctor(endpoint_url=url)
        assert (status, cause in faults[0], "Check --endpoint_url, DNS" in faults[0]) == (4, True, True)


def test_a_certificate_of_an_unknown_authority_is_named(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And trusted where REQUESTS_CA_BUNDLE says so."""
    import ssl

    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with CardServer(lambda got: failure("1"), tls=context) as server:
        status, faults, _ = doctor(endpoint_url=server.base_url)
        assert (status, "its certificate is not trusted" in faults[0]) == (4, True)
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        assert doctor(endpoint_url=server.base_url)[0] == 0


@pytest.mark.parametrize(
    ("variables", "reported"),
    [
        ({"CARD_API_SECRET": ""}, "holds no api_key and api_secret"),
        ({"CARD_API_SECRET_COMMAND": "false"}, "CARD_API_SECRET_COMMAND exited with status 1"),
    ],
)
def test_missing_credentials_are_named(
    doctor: Doctor, server: CardServer, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], reported: str
) -> None:
    """Nothing is called without them."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    status, faults, _ = doctor()
    assert (status, len(faults), reported in faults[0], posts(server)) == (2, 1, True, 0)


def test_inputs_and_outputs_that_cannot_be_used_are_named(doctor: Doctor, tmp_path: Path) -> None:
    """An input without images, one that cannot be read, an output that is a file."""
    (tmp_path / "file").touch()
    for broken, check, reported in (
        ({"input": f"{tmp_path}/in/*.png"}, "input", "holds no image"),
        ({"input": f"{tmp_path}/none.csv"}, "input", "there is no such manifest"),
        ({"output": f"{tmp_path}/file"}, "output: write", "directory"),
    ):
        status, faults, _ = doctor(**broken)
        assert status in (2, 4)
        assert check in faults[-1]
        assert reported in faults[-1]


def test_a_runner_and_a_broker_that_are_away_are_named(doctor: Doctor) -> None:
    """With their addresses."""
    port = closed_port()
    for broken, reported in (
        (
            {"runner": "FlinkRunner", "flink_master": f"http://127.0.0.1:{port}", "environment_type": "LOOPBACK"},
            f"FlinkRunner at 127.0.0.1:{port}",
        ),
        (
            {"runner": "PortableRunner", "job_endpoint": f"127.0.0.1:{port}", "environment_type": "LOOPBACK"},
            f"PortableRunner at 127.0.0.1:{port}",
        ),
        ({"notifications": f"kafka://127.0.0.1:{port}/cards"}, f"127.0.0.1:{port}: no connection: Connection refused"),
    ):
        status, faults, _ = doctor(**broken)
        assert (status in (2, 4), len(faults)) == (True, 1)
        assert reported in faults[0]


def test_a_damaged_output_is_named(doctor: Doctor, tmp_path: Path) -> None:
    """By the file."""
    write_run(LocalFolder(f"{tmp_path}/out"), SECOND, [ledger_record(SECOND, 0, ("x",), response=b"{}")])
    next((tmp_path / "out" / "ledger").rglob("*.parquet")).unlink()
    status, faults, _ = doctor()
    assert (status, "is missing" in faults[0], "ledger/" in faults[0]) == (4, True, True)


def test_a_clock_that_is_off_is_named(images: str, tmp_path: Path) -> None:
    """By the seconds, in either direction."""
    for off_s, reported in ((-3600.0, " s behind"), (3600.0, " s ahead of")):
        with CardServer(lambda got: Answer(headers={"Date": formatdate(time.time())})) as server:
            settings, _ = parse_run(
                "doctor", "", [f"--input={images}", f"--output={tmp_path}", f"--endpoint_url={server.base_url}"]
            )
            (finding,) = check_clock(settings, lambda: time.time() + off_s)  # noqa: B023  # asked before the next
        assert (finding.status, reported in finding.message) == (FAILED, True)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """Both disks, by what is free."""
    found = list(check_disk(str(tmp_path / "none"), lambda path: 5_000_000))
    assert [(one.status, one.exit_status, "5 MB free" in one.message) for one in found] == 2 * [(FAILED, 4, True)]


class Careless(LocalFolder):
    """A folder whose conditional put replaces what is there."""

    def create(self, path: str, content: bytes) -> bool:
        """Write in any case."""
        self.write(path, content)
        return True


class Refusing(LocalFolder):
    """A folder that deletes nothing."""

    def delete(self, paths: object) -> None:
        """Refuse."""
        raise PermissionError(13, "Permission denied", str(paths))


@pytest.mark.parametrize(("kind", "step"), [(Careless, "conditional put"), (Refusing, "delete")])
def test_a_store_that_lacks_one_right_is_named(tmp_path: Path, kind: type[LocalFolder], step: str) -> None:
    """By the right that is missing."""
    found = [one for one in check_store(kind(str(tmp_path))) if one.status == FAILED]
    assert [one.check for one in found] == [f"output: {step}"]


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a warning, with the command that installs it."""
    monkeypatch.setattr(checkup, "_EXTRAS", {"no_such_module": "report"})
    assert list(checkup.check_extras()) == [
        Finding("packages", "warning", "no_such_module is not installed", "pip install 'cardbeam[report]'")
    ]
