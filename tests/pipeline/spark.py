"""Spark for tests: one session a process, with Iceberg's jars where Maven brings them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.pipeline.cli import ROOT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

JARS = ROOT / ".venv" / "jars"
ARTIFACTS = (
    "org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0",  # of the Spark that setup.py's extra names
    "org.xerial:sqlite-jdbc:3.53.4.0",  # for the catalog that pyiceberg keeps in SQLite
)
_WITHIN_S = 600


class NotInstalled(Exception):
    """What Spark needs and is not here; the message names it."""


def jars() -> list[Path]:
    """Iceberg for Spark, from Maven Central, once.

    Raises:
        NotInstalled: there is no Maven, or it does not bring them.
    """
    found = [JARS / "{1}-{2}.jar".format(*artifact.split(":")) for artifact in ARTIFACTS]
    if all(jar.exists() for jar in found):
        return found
    maven = shutil.which("mvn")
    if maven is None:
        raise NotInstalled("Maven, which brings Iceberg for Spark, is not installed")
    for artifact in ARTIFACTS:
        copy = [maven, "-q", "-B", "dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={JARS}"]
        try:
            subprocess.run(copy, check=True, capture_output=True, timeout=_WITHIN_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            raise NotInstalled(f"Maven does not bring {artifact}") from error
    return found


@contextmanager
def session(scratch: Path) -> Iterator[SparkSession]:
    """A Spark session in this process, small and in UTC.

    Raises:
        NotInstalled: pyspark or Java is missing.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise NotInstalled("pyspark is not installed; pip install 'cardbeam[spark]'") from None
    if shutil.which("java") is None:
        raise NotInstalled("Java, which Spark runs on, is not installed")
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.extraJavaOptions", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1")
    with suppress(NotInstalled):  # a test of Iceberg asks for them itself
        builder = builder.config("spark.jars", ",".join(map(str, jars())))
    spark = (
        builder.config("spark.sql.warehouse.dir", str(scratch))
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.shuffle.partitions", "1")
        .getOrCreate()
    )
    try:
        yield spark
    finally:
        spark.stop()
