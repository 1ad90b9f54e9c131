"""Checks of the runner and of the Kafka topic."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator

from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions, PortableOptions, StandardOptions
from apache_beam.runners.portability.flink_runner import MAGIC_HOST_NAMES
from apache_beam.runners.runner import create_runner

from cardbeam.config.settings import Settings, WatchSettings
from cardbeam.storage.open_uri import SourceError
from cardbeam.watch.notifications.notification_feed import check_feed
from pipeline.cli.exit_codes import EXIT_FAILED, UsageError
from pipeline.launch.checks.check_setup import OK, Finding, failed
from pipeline.launch.engines.prism import PRISM, find_prism

_CONNECT_S = 10.0


def check_topic(settings: Settings, watching: WatchSettings) -> Iterator[Finding]:
    """Whether the brokers of `--notifications` are there and know the topic."""
    if not watching.notifications:
        return
    brokers = watching.notifications.removeprefix("kafka://").partition("/")[0].split(",")
    faults = [f"{broker}: {fault}" for broker in brokers if (fault := _connection_fault(broker))]
    if len(faults) == len(brokers):
        advice = "Check --notifications and the firewall; until then a watch falls back to polling"
        yield failed("kafka", "; ".join(faults), advice, EXIT_FAILED)
        return
    try:
        check_feed(settings, watching, reads_topic_here=True)
    except SourceError as error:
        yield failed("kafka", error, "Correct --notifications or --kafka_config_uri")
    else:
        yield Finding("kafka", OK, watching.notifications)


def check_runner(options: PipelineOptions) -> Iterator[Finding]:
    """Whether the runner exists, and what it needs is there."""
    name = options.view_as(StandardOptions).runner or ""
    try:
        create_runner(name)
        if name == PRISM:
            find_prism(options)
    except UsageError as error:
        yield failed("runner", error, "Install Prism, or choose another --runner")
        return
    except (ValueError, ImportError) as error:
        yield failed("runner", f"--runner {name}: {error}", "Correct --runner, or install what it needs")
        return
    address = _address(name, options)
    if address and (fault := _connection_fault(address)):
        yield failed(
            "runner", f"{name} at {address}: {fault}", "Start the cluster, or correct its address", EXIT_FAILED
        )
    elif not address and name == "FlinkRunner" and shutil.which("java") is None:
        yield failed("runner", "FlinkRunner needs Java", "Install a Java runtime, or give --flink_master")
    else:
        yield Finding("runner", OK, f"{name} {address}".strip())


def _address(name: str, options: PipelineOptions) -> str:
    """Host and port of the cluster; empty where the runner starts its own."""
    if endpoint := options.view_as(PortableOptions).job_endpoint:
        return "" if endpoint == "embed" else str(endpoint)
    master = options.view_as(FlinkRunnerOptions).flink_master if name == "FlinkRunner" else ""
    return "" if master in MAGIC_HOST_NAMES else str(master).rpartition("://")[2]


def _connection_fault(address: str) -> str:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), _CONNECT_S):
            return ""
    except ValueError:
        return "expected HOST:PORT"
    except OSError as error:
        return f"no connection: {error.strerror or error}"
