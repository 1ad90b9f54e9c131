"""What a run is told, by concern. Each field is an option of the command line.

Help texts say what raising a value costs. `validate` are found before a graph exists.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlsplit

from cardbeam.config.options import SettingError, at_least, is_insecure, option, validate_output, validate_uri
from cardbeam.config.prices import affordable_calls
from cardbeam.config.side_pattern import DEFAULT_SIDES, compile_sides
from cardbeam.config.time_window import end_of, moment_us
from cardbeam.model.moment import parse_moment
from cardbeam.storage.folder import Folder, open_folder
from cardbeam.storage.object_store import is_in_bucket
from cardbeam.storage.uris import local_path
from schemas.contract import DEFAULT_ENDPOINT_URL, OPERATIONS, TRANSFERS
from schemas.outcomes import is_failure_code

SERVICE = re.compile(r"(?P<address>[^/]+:[0-9]+)/(?P<domain>[^/]+)/(?P<entries>[^=,/]+=[^=,/]+(,[^=,/]+=[^=,/]+)*)")
"""An Envoy rate limit service, with the domain and the descriptor that its rules are about."""
TOPIC = re.compile(r"kafka://(?P<brokers>[^/@,:]+:[0-9]+(,[^/@,:]+:[0-9]+)*)/(?P<topic>[A-Za-z0-9._-]{1,249})")
"""A topic, with brokers to ask first."""
_FILE_MODE = re.compile(r"0?6[046][046]")

KEEP_REPLACED_S = 3600.0
LOG_LEVELS, LOG_FORMATS = ("debug", "info", "warning", "error"), ("text", "json")


@dataclass(frozen=True, slots=True)
class InputSettings:
    """Which images, and what is asked about them."""

    input: tuple[str, ...] = option(
        (),
        help="A glob or folder on any filesystem (s3://, gs://, local), or a manifest (.txt .csv .tsv .jsonl .parquet, "
        "also with .gz) with the column uri, or front_uri and back_uri; other columns become labels. Repeatable.",
    )
    operation: str = option(
        "ekyc/card",
        help="The call to make: ekyc/card reads and judges one image, ekyc/cards a front and a back, "
        "ocr/card reads without judging.",
        choices=tuple(OPERATIONS),
    )
    dedupe: str = option(
        "content",
        help="How duplicates are found: content compares the images' bytes, source only URI, size and version, "
        "so that a renamed image is paid for again.",
        choices=("content", "source"),
    )
    side_pattern: str = option(
        DEFAULT_SIDES,
        help="For ekyc/cards without a manifest: a regular expression whose groups front and back tell the sides; "
        "images of one --input that differ by it alone are a pair.",
    )
    unpaired: str = option(
        "dead_letter",
        help="How to handle unpaired images: a dead letter, or a call of ekyc/card.",
        choices=("dead_letter", "ekyc/card"),
    )

    sample: int = option(
        0,
        help="Process a random sample of so many of the images found: the same ones each time, and a larger sample "
        "holds a smaller one. 0 takes all.",
    )

    reread_before: str = option(
        "",
        help="Send again, and pay again, every image whose newest result is older than this date, 2026-11-01 or "
        "2026-11-01T18:00, local time: after the vendor improved the endpoint, for example.",
    )

    modified_since: str = option(
        "",
        help="Consider only images that were changed at or after this date, 2026-11-01 or 2026-11-01T18:00, local "
        "time; of a pair, one side is enough. An image whose time its store does not tell is considered too.",
    )

    allow_empty: bool = option(False, help="An --input without an image is a run with nothing to do, not an error.")
    trust_manifest: bool = option(
        False,
        help="Take size and version of each image from the columns size and etag of a manifest (of two sides from "
        "front_size, front_etag, back_size and back_etag), and look none of these up in the store.",
    )

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words."""
        yield from at_least(self, sample=0)
        if not self.input:
            yield "--input is missing: give a glob, a folder or a manifest"
        if not all(source.strip() for source in self.input):
            yield "--input is empty: give a glob, a folder or a manifest"
        for source in self.input:
            yield from validate_uri("input", source)
        again, none = "each run until then would pay for all images again", "no image would be considered"
        yield from _validate_past("reread_before", self.reread_before, again)
        yield from _validate_past("modified_since", self.modified_since, none)
        try:
            compile_sides(self.side_pattern)
        except ValueError as error:
            yield f"--side_pattern: {error}"


def _validate_past(name: str, date: str, else_: str) -> Iterator[SettingError]:
    try:
        if moment_us(date) > time.time() * 1_000_000:
            yield f"--{name} is {date}, which is to come: {else_}"
    except (ValueError, OverflowError):
        yield f"--{name} is {date!r}, expected a date, 2026-11-01 or 2026-11-01T18:00"


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """The endpoint, and how it is called."""

    endpoint_url: str = option(DEFAULT_ENDPOINT_URL, help="Base URL of the endpoint.")
    transfer: str = option(
        "file",
        help="How images travel: file (multipart), base64 (JSON, a third more bytes), or url (the endpoint "
        "fetches them itself; duplicates are then known by source only).",
        choices=TRANSFERS,
    )
    get_thumb: bool = option(
        False, help="Ask for the aligned card as an image: tables grow by some 50 kB for each document."
    )
    timeout_s: float = option(
        30.0,
        help="Seconds for one call, from its permit to the last byte of the response. Higher values let slow requests "
        "occupy a connection longer.",
    )
    max_attempts: int = option(
        5, help="Requests sent for one image at the most. Each may be billed, and all count against the rate."
    )
    credentials_uri: str | None = option(
        None,
        help='A JSON file {"api_key": …, "api_secret": …} that workers read at set-up; without it they take '
        "CARD_API_KEY and CARD_API_SECRET from their environment.",
    )
    allow_insecure_http: bool = option(
        False,
        help="Let --endpoint_url and --credentials_uri be http:// on another machine: images and credentials then "
        "cross the network in clear text.",
    )

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words."""
        try:
            parts = urlsplit(self.endpoint_url)
            is_base = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # a port that is no number, a bracket without the other
            parts, is_base = urlsplit(""), False
        if not is_base or any(letter.isspace() for letter in self.endpoint_url):
            yield "--endpoint_url is not a URL: expected http(s)://host/path"
        if parts.username or parts.password or "?" in self.endpoint_url or "#" in self.endpoint_url:
            yield (
                "--endpoint_url holds credentials, a query or a fragment: give the base URL alone, credentials by the "
                "environment"
            )
        for name in ("endpoint_url", "credentials_uri"):
            if not self.allow_insecure_http and is_insecure(getattr(self, name) or ""):
                yield (
                    f"--{name} is http:// to another machine, so images and credentials would cross the network in "
                    "clear text: use https://, or give --allow_insecure_http"
                )
        yield from at_least(self, timeout_s=0.1, max_attempts=1)


@dataclass(frozen=True, slots=True)
class RateSettings:
    """How much is sent at a time, and in all."""

    max_requests_per_second: float = option(
        10.0, help="The quota, for the whole run. Above what the account allows, calls are refused; 0 is no limit."
    )
    max_in_flight: int = option(
        0,
        help="Calls in progress at once in one worker. Each holds its images in memory and one connection, and a "
        "quarter as many images more, four at least, are read ahead; 0 takes as many as the rate and the endpoint's "
        "latency need, up to 256 and 256 MB of images.",
    )
    max_calls: int = option(
        0,
        help="Stop after so many requests and leave the rest for later (exit 3); 0 is no limit. It is never passed; "
        "several workers may make a few less, where one is killed or has nothing left to send.",
    )
    rate_uri: str = option(
        "",
        help="A folder, by its absolute path or in a bucket, for runs of several outputs that keep one "
        "--max_requests_per_second together; each gives the same. Or an Envoy rate limit service that is asked before "
        "each request, HOST:PORT/DOMAIN/KEY=VALUE[,KEY=VALUE]; the limit then bounds each worker alone.",
    )
    max_cost: float = option(
        0.0,
        help="Stop before the run costs more than this, in the currency of --price_per_call (exit 3); 0 is no limit. "
        "Every call counts that the vendor may bill: not those that got an HTTP error or could not be sent.",
    )
    price_per_call: float = option(0.0, help="Price of one answered call, for the receipt's cost and --max_cost.")
    until: str = option(
        "",
        help="Stop sending so early that no request is in flight at this time (exit 3): 06:00 is the next one, local "
        "time, or give a date too, 2026-11-30T06:00. Tables and report are written after it.",
    )

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words."""
        least = {"max_requests_per_second": 0, "max_in_flight": 0, "max_calls": 0, "max_cost": 0, "price_per_call": 0}
        yield from at_least(self, **least)
        if self.max_cost > 0 and not self.price_per_call > 0:
            yield "--max_cost is given without --price_per_call"
        elif self.max_cost > 0 and affordable_calls(self.max_cost, self.price_per_call) < 1:
            yield f"--max_cost {self.max_cost:g} does not pay for one call at --price_per_call {self.price_per_call:g}"
        if self.until:
            try:
                end_of(self.until, datetime.now().astimezone())
            except ValueError as error:
                yield str(error)
        if self.rate_uri and not self.rate_service:
            yield from self._validate_rate_folder()

    @property
    def rate_service(self) -> str:
        """The Envoy service, if there is one."""
        return self.rate_uri if SERVICE.fullmatch(self.rate_uri) else ""

    def rate_folder(self, file_mode: int) -> Folder | None:
        """The folder that several outputs share for their leases, if there is one."""
        return open_folder(self.rate_uri, file_mode) if self.rate_uri and not self.rate_service else None

    def _validate_rate_folder(self) -> Iterator[SettingError]:
        local = local_path(self.rate_uri)
        if not (is_in_bucket(self.rate_uri) if local is None else local.is_absolute()):
            yield (
                f"--rate_uri is {self.rate_uri!r}, expected HOST:PORT/DOMAIN/KEY=VALUE, or a folder: an absolute path "
                "or a URI of a bucket"
            )
        yield from validate_uri("rate_uri", self.rate_uri)
        if not self.max_requests_per_second:
            yield "--rate_uri names a folder to share a limit, and --max_requests_per_second is 0: there is none"


@dataclass(frozen=True, slots=True)
class OutputSettings:
    """Where the tables go, and how soon an answer is safe."""

    output: str = option("", help="Folder or bucket prefix of the tables, the ledger and the journal.")
    run_id: str = option(
        "", help="Name of the run; default its start in UTC, as 20261122T010000Z. No run of that name may exist."
    )
    journal_flush_s: float = option(
        5.0,
        help="Seconds between journal objects in a bucket: answers younger than that can be lost, and paid again, "
        "when a worker is killed. A local output writes each answer at once.",
    )
    file_mode: str = option(
        "0600",
        help="Permissions of the files that are made in a local output, which hold card text. 0640 lets the group read "
        "them, and enter their folders.",
    )
    keep_replaced_s: float = option(
        KEEP_REPLACED_S,
        help="Seconds until files that a newer publication replaced are deleted, by the next publish, backfill or "
        "watch after that. Raise it above the longest query; higher values take more space.",
    )

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words."""
        yield from validate_output(self.output, "give a folder or a bucket prefix")
        if not all(letter.isalnum() or letter in "-_." for letter in self.run_id) or self.run_id in (".", ".."):
            yield f"--run_id is {self.run_id!r}, expected letters, digits, '-', '_' and '.'"
        if not _FILE_MODE.fullmatch(self.file_mode):
            yield f"--file_mode is {self.file_mode!r}, expected 0600, 0640, 0644, 0660, 0664 or 0666"
        yield from at_least(self, journal_flush_s=0.1, keep_replaced_s=0)

    def folder(self) -> Folder:
        """The output folder."""
        return open_folder(self.output, int(self.file_mode, 8))


@dataclass(frozen=True, slots=True)
class ReportingSettings:
    """What is logged and checked, and who is told. Stays in the process that launches it."""

    checks: str = option(
        "",
        help="A file of SQL queries over the views, each after a line `-- name: NAME`, that must return no row when "
        "the run has ended; else exit 6. A query after `-- warn: NAME` only warns.",
    )

    max_failed_share: float = option(
        1.0,
        help="The largest share of the images processed by the run that may end as dead letters, 0.05 for example; "
        "else exit 6. 1 allows all.",
    )

    notify_url: str = option(
        "",
        help="A webhook that gets JSON when the run starts, ends or stops, a check fails, or 80 % of --max_calls or "
        "--max_cost is used. A notice that is not taken is retried, and never fails the run.",
    )

    log_level: str = option("info", help="The least level of what is logged.", choices=LOG_LEVELS)
    log_format: str = option(
        "text",
        help="text, or json: one object a line with at, level, run_id, stage, event, message and numbers, also of what "
        "else is written to standard error.",
        choices=LOG_FORMATS,
    )

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words. The file of the checks is read before the run begins."""
        if not 0 <= self.max_failed_share <= 1:  # false for nan too
            yield f"--max_failed_share is {self.max_failed_share:g}, expected 0 to 1, 0.05 for 5 %"
        if self.notify_url and not re.match(r"https?://[^/\s]+", self.notify_url):
            yield "--notify_url is not a URL: expected http(s)://host/path"


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """Whether the launching process waits for the run's end."""

    no_wait: bool = option(
        False,
        help="Hand the job over to the cluster, print the ids of run and job, and end (exit 0). status shows the run, "
        "and the next launch is refused until it has ended.",
    )
    lock_wait_s: float = option(
        0.0,
        help="Seconds to wait while another command has the output; 0 refuses at once (exit 2). A watch lets waiting "
        "commands have it between two of its runs.",
    )

    def validate(self) -> Iterator[SettingError]:
        """Which runners go on alone, the launch tells."""
        yield from at_least(self, lock_wait_s=0)


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """Which dead letters are tried again; empty is all."""

    codes: tuple[str, ...] = option(
        (), help="A code of dead letters to try again, http_503 say. Repeatable; default all."
    )
    run_id: tuple[str, ...] = option((), help="A past run whose dead letters to try again. Repeatable; default all.")
    transcode: str = option(
        "",
        help="jpeg sends every image that is neither JPEG, PNG nor PDF as a JPEG, HEIC and AVIF for example. Boxes are "
        "then in the pixels of that JPEG, whose size is the ledger's message.",
        choices=("", "jpeg"),
    )

    def validate(self) -> Iterator[SettingError]:
        """A code that no outcome has. Which runs there are, the output tells."""
        for code in self.codes:
            if not is_failure_code(code):
                yield f"--codes {code} is no code of a dead letter: expected error_1 or http_503, say, once for each"


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How soon new images are seen and their rows shown, and how long one run lasts."""

    poll_interval_s: float = option(
        10.0,
        help="Seconds from the end of one listing of the inputs to the next. Raising it lets images wait longer; "
        "lowering it costs listings: a request for each 1,000 objects of a bucket.",
    )
    notifications: str = option(
        "",
        help="A Kafka topic that the store tells of new objects: kafka://HOST:PORT[,HOST:PORT]/TOPIC. What it names "
        "under --input is taken at once; --poll_interval_s then counts only while the brokers are away.",
    )
    kafka_config_uri: str | None = option(
        None,
        help='A JSON file of the Kafka client\'s properties, {"security.protocol": "SASL_SSL", …}, that the worker '
        "reads which hears the topic.",
    )
    full_scan_interval_s: float = option(
        600.0,
        help="With --notifications, seconds from one listing to the next: it finds what no notification told of. "
        "Raising it lets such images wait longer; lowering it costs listings.",
    )
    publish_interval_s: float = option(
        5.0,
        help="Seconds between two looks for answers that are in no table yet. Raising it lets rows wait longer; "
        "lowering it makes more and smaller files, which are merged 32 at a time.",
    )
    run_duration_h: float = option(
        24.0,
        help="Hours until the run ends with its receipt and the next one begins. Raising it lets a day's receipt, and "
        "images whose calls failed for now, wait longer; each change takes as long as a start of the runner.",
    )

    def validate(self) -> Iterator[SettingError]:
        """What is wrong with it, in words."""
        yield from at_least(
            self, poll_interval_s=0.5, full_scan_interval_s=0.5, publish_interval_s=1.0, run_duration_h=0.01
        )
        if self.notifications and not TOPIC.fullmatch(self.notifications):
            yield "--notifications is no topic: expected kafka://HOST:PORT[,HOST:PORT]/TOPIC, without user and password"
        if self.kafka_config_uri is not None and not self.notifications:
            yield "--kafka_config_uri is given without --notifications"


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a run is told. Holds no secret: it travels in the job graph."""

    input: InputSettings
    endpoint: EndpointSettings
    rate: RateSettings
    output: OutputSettings
    replay: ReplaySettings | None = None
    """Set where dead letters of past runs are tried again: then no earlier failure is final."""
    reporting: ReportingSettings | None = None
    """None in the graph, and in what is kept of a run."""
    resumes: tuple[str, ...] = ()
    """Replays that were interrupted, which this one completes: what failed again in them is not sent again."""
    launch: LaunchSettings | None = None
    """None in the graph, and in what is kept of a run."""


def with_moments(settings: Settings, now: datetime) -> Settings:
    """The settings with every time as a moment, the same for all workers wherever they are."""
    inputs = settings.input
    before, since = map(_moment, (inputs.reread_before, inputs.modified_since))
    settings = replace(settings, input=replace(inputs, reread_before=before, modified_since=since))
    if not settings.rate.until:
        return settings
    until = end_of(settings.rate.until, now).isoformat(timespec="seconds")
    return replace(settings, rate=replace(settings.rate, until=until))


def _moment(date: str) -> str:
    return parse_moment(date).astimezone().isoformat() if date else ""
