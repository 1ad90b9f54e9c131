"""Nothing that a launching process starts by itself listens where another machine can reach it, or is refused."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import create_runner

from pipeline.launch.engines.job_server import JobServerExposed, open_addresses, own_job_server
from pipeline.launch.engines.loopback_pool import start_pool
from pipeline.launch.failure import cause

LISTENS = """
import socketserver, sys
port = int(sys.argv[sys.argv.index("--job_port") + 1])
socketserver.TCPServer(("ADDRESS", port), socketserver.BaseRequestHandler).serve_forever()
"""


def options_of(tmp_path: Path, address: str, *more: str) -> PipelineOptions:
    """Options that name a program of our own as Prism, which listens at an address."""
    program = tmp_path / "prism"
    program.write_text(f"#!{sys.executable} -S\n{LISTENS.replace('ADDRESS', address)}")
    return PipelineOptions(["--runner=PrismRunner", f"--prism_location={program}", *more])


def start(options: PipelineOptions) -> bool:
    """Start the job server and stop it; whether it listened."""
    with own_job_server(create_runner(options.view_as(StandardOptions).runner), options) as endpoint:
        return endpoint is not None


def test_one_that_listens_everywhere_is_refused_with_its_address_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(JobServerExposed, match=r"0\.0\.0\.0:\d+.*build_prism.*--allow_open_ports") as refused:
        start(options_of(tmp_path, ""))
    assert (refused.value.exit_status, cause(refused.value)) == (2, str(refused.value))


@pytest.mark.parametrize(("address", "more"), [("127.0.0.1", []), ("", ["--allow_open_ports"])])
def test_one_that_listens_on_loopback_is_taken_and_so_is_one_behind_a_firewall(
    tmp_path: Path, address: str, more: list[str]
) -> None:
    assert start(options_of(tmp_path, address, *more))


def test_the_pool_of_workers_in_this_process_listens_on_loopback() -> None:
    with ExitStack() as stack:
        address, server = start_pool(PipelineOptions([]))
        stack.callback(server.stop, None)
        port = int(address.rpartition(":")[2])
        listening = [one for one in psutil.Process().net_connections("tcp") if one.laddr and one.laddr.port == port]
        exposed = [one for one in open_addresses(os.getpid()) if one.endswith(f":{port}")]
    assert (address.startswith("127.0.0.1:"), len(listening), exposed) == (True, 1, [])
