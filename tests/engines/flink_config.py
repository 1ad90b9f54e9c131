"""What a Flink cluster of processes on a small machine is told: ports, memory, when it takes a worker for lost."""

from __future__ import annotations

import json
from pathlib import Path

_LOGGING = """
rootLogger.level = INFO
rootLogger.appenderRef.file.ref = File
appender.file.name = File
appender.file.type = FILE
appender.file.fileName = ${sys:log.file}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %-5p %c{1} - %m%n
"""


def write_config(folder: Path, rest_port: int, rpc_port: int, slots: int) -> None:
    """Make `conf`, and the folders that it names."""
    for name in ("tmp", "log", "conf"):
        Path(folder, name).mkdir(parents=True, exist_ok=True)
    lines = [f"{name}: {json.dumps(value)}" for name, value in _config(folder, rest_port, rpc_port, slots).items()]
    Path(folder, "conf", "config.yaml").write_text("\n".join(lines) + "\n")
    Path(folder, "conf", "log4j.properties").write_text(_LOGGING)


def _config(folder: Path, rest_port: int, rpc_port: int, slots: int) -> dict[str, str | int | float]:
    return {
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.rpc.port": rpc_port,
        "jobmanager.bind-host": "127.0.0.1",
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.port": rest_port,
        "taskmanager.host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
        "taskmanager.numberOfTaskSlots": slots,
        "taskmanager.cpu.cores": 1.0,
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.framework.off-heap.size": "128m",
        "taskmanager.memory.task.heap.size": "256m",
        "taskmanager.memory.task.off-heap.size": "64m",
        "taskmanager.memory.managed.size": "128m",
        "taskmanager.memory.network.min": "128m",
        "taskmanager.memory.network.max": "128m",
        "taskmanager.memory.jvm-metaspace.size": "256m",
        "taskmanager.memory.jvm-overhead.min": "128m",
        "taskmanager.memory.jvm-overhead.max": "128m",
        "heartbeat.interval": 1000,
        "heartbeat.timeout": 6000,
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 1000,
        "restart-strategy.fixed-delay.delay": "5 s",
        "io.tmp.dirs": str(folder / "tmp"),
        "blob.storage.directory": str(folder / "tmp"),
        "classloader.resolve-order": "parent-first",  # else workers end with each stage, whatever the options say
    }
