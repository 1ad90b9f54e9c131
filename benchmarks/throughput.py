"""`bench throughput`: a whole backfill beside what users write today, against the same endpoint in the same run."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.images import write_images
from benchmarks.machine import endpoint, medians, run_child

_FEW = 64
"""Images for the contenders that make one call at a time: their rate does not depend on how many there are."""


@dataclass(frozen=True, slots=True)
class _Setting:
    latency_s: float
    threads: int
    contenders: tuple[str, ...]


_SETTINGS = {
    "latency": _Setting(0.3, 64, ("cardbeam", "cardbeam_and_page", "pool", "ray", "beam", "request_response_io")),
    "zero_latency": _Setting(0.0, 16, ("cardbeam", "pool")),
}
_TRANSFERS = {
    "file": "file",
    "base64": "base64",
    "file_from_web": "file",
    "url": "url",
}
"""How images go to the endpoint; the last two name them in a manifest of URLs, where the others find files."""
_FROM_WEB = frozenset({"file_from_web", "url"})
_ONE_AT_A_TIME = frozenset({"beam", "request_response_io"})


def main(arguments: Sequence[str]) -> dict[str, Any]:
    """Medians for each contender and setting, and how cardbeam stands to each."""
    parser = argparse.ArgumentParser(prog="run.sh bench throughput", description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--image_bytes", type=int, default=219_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--settings", nargs="*", choices=_SETTINGS, default=list(_SETTINGS))
    parser.add_argument("--contenders", nargs="*", help="only these; all by default")
    parser.add_argument("--latency_s", type=float, help="instead of the setting's own")
    parser.add_argument("--transfers", nargs="*", choices=_TRANSFERS, default=["file", "file_from_web", "url"])
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        write_images(Path(folder, "all"), asked.images, asked.image_bytes)
        write_images(Path(folder, "few"), _FEW, asked.image_bytes)
        return {name: _measure(_SETTINGS[name], asked, Path(folder)) for name in asked.settings}


def _measure(setting: _Setting, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    latency_s = setting.latency_s if asked.latency_s is None else asked.latency_s
    names = [name for name in setting.contenders if not asked.contenders or name in asked.contenders]
    runs: dict[str, list[dict[str, float]]] = {}
    for number in range(asked.runs):
        for name in names:  # in turn, so that what else the machine does falls on all
            for transfer in asked.transfers if name == "cardbeam" else ["file"]:
                label = name if transfer == "file" else f"{name} {transfer}"
                runs.setdefault(label, []).append(
                    _run(name, transfer, setting.threads, latency_s, folder / str(number))
                )
    found = {label: medians(figures) for label, figures in runs.items()}
    return {"latency_s": latency_s, "in_flight": setting.threads, **found, "ratios": _ratios(found)}


def _run(name: str, transfer: str, threads: int, latency_s: float, folder: Path) -> dict[str, float]:
    images = folder.parent / ("few" if name in _ONE_AT_A_TIME else "all")
    output = folder / f"{name}-{transfer}-{threads}"
    folder.mkdir(exist_ok=True)
    message = ["--max_requests_per_second=0", f"--transfer={_TRANSFERS[transfer]}"]
    options = message if name.startswith("cardbeam") else []
    with endpoint(latency_s, images=images) as server:
        if transfer in _FROM_WEB:
            images = _urls(folder, server.images_url, images)
        cost = run_child(
            "benchmarks.contenders", name, str(images), server.base_url, str(threads), str(output), *options
        )
        served = server.served()
    return {**cost, "endpoint_cpu_ms_per_image": 1000 * served.cpu_s / len(served.came_s)}


def _urls(folder: Path, url: str, images: Path) -> Path:
    """A manifest of the images as the endpoint's own server has them."""
    manifest = folder / "urls.txt"
    manifest.write_text("".join(f"{url}/{path.name}\n" for path in sorted(images.iterdir())))
    return manifest


def _ratios(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    ours = found.get("cardbeam")
    if ours is None:
        return {}
    return {
        name: {
            "rate": round(ours["images_per_s"] / theirs["images_per_s"], 3),
            "cpu": round(ours["cpu_ms_per_image"] / theirs["cpu_ms_per_image"], 3),
        }
        for name, theirs in found.items()
        if name != "cardbeam"
    }
