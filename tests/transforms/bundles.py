"""The calls of a run bundle by bundle, as a runner's worker makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp

from cardbeam.config.settings import EndpointSettings, InputSettings, OutputSettings, RateSettings, Settings
from cardbeam.inputs.image_source import describe
from cardbeam.model.request import Request
from cardbeam.model.request_codec import pack
from cardbeam.model.result import RequestResult
from tests.servers import CardServer
from transforms.call_endpoint import _ProcessFn

Groups = list[tuple[str, list[bytes]]]


def groups_of(folder: Path, draw: Callable[..., bytes], count: int) -> Groups:
    """So many different images, each a group of its own."""
    groups: Groups = []
    for number in range(count):
        path = folder / f"{number}.jpg"
        path.write_bytes(draw(number))
        groups.append((str(number), [pack([Request("ekyc/card", (describe(str(path)),))])]))
    return groups


def settings_of(server: CardServer, output: Path) -> Settings:
    """The run `night`, as fast as the server lets it."""
    return Settings(
        InputSettings(),
        EndpointSettings(endpoint_url=server.base_url),
        RateSettings(max_requests_per_second=0),
        OutputSettings(str(output), "night"),
    )


def run_bundle(fn: _ProcessFn, groups: Groups, *attempt: str) -> list[RequestResult]:
    """One bundle from its start to its end; what it gives is what the runner would commit."""
    fn.start_bundle()
    ended = [one for group in groups for one in fn.process(group, attempt, Timestamp(0), GlobalWindow())]
    return [one.value for one in [*ended, *fn.finish_bundle()]]
