"""Four corners and the lines between them: what looking for outlines is made of."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from endpoint.imaging.decode import Pixels

Corners = npt.NDArray[np.float64]
"""(4, 2): top left, top right, bottom right, bottom left, in pixels of the sheet."""


def on_edges(starts: Corners, ends: Corners, edges: Pixels) -> npt.NDArray[np.float64]:
    """Of lines from `starts` to `ends`, both (n, 2): the share of each that lies on edges, but for its ends."""
    along = np.linspace(0.1, 0.9, 80)[None, :, None]
    points = np.rint(starts[:, None] * (1 - along) + ends[:, None] * along).astype(int)
    x, y = points[..., 0], points[..., 1]
    inside = (x >= 0) & (y >= 0) & (x < edges.shape[1]) & (y < edges.shape[0])
    hit = edges[np.clip(y, 0, edges.shape[0] - 1), np.clip(x, 0, edges.shape[1] - 1)] > 0
    return np.asarray((hit & inside).mean(axis=1))


def side_line(start: Corners, end: Corners, hull: Corners) -> npt.NDArray[np.float64]:
    """A line (point, direction) through the hull's own points near the middle of a side, else through its corners."""
    along = (end - start) / max(1e-6, float(np.linalg.norm(end - start)))
    offsets = hull - start
    place = offsets @ along / max(1e-6, float(np.linalg.norm(end - start)))
    away = np.abs(offsets @ np.array([-along[1], along[0]]))
    near = hull[(place > 0.08) & (place < 0.92) & (away < 4)]
    if len(near) < 2:
        near = np.array([start, end])
    line = cv2.fitLine(near.astype(np.float32), cv2.DIST_HUBER, 0, 0.01, 0.01).ravel()
    return np.array([line[2], line[3], line[0], line[1]], dtype=np.float64)


def crossing(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """Where two lines (x, y, dx, dy) meet; None where they hardly do."""
    directions = np.array([one[2:], -other[2:]]).T
    if abs(np.linalg.det(directions)) < 1e-3:
        return None
    return np.asarray(one[:2] + np.linalg.solve(directions, other[:2] - one[:2])[0] * one[2:])


def ordered(quad: Corners) -> Corners:
    """Clockwise from the top left corner, and turned so that the first side is a long one."""
    angles = np.arctan2(*(quad - quad.mean(axis=0)).T[::-1])
    clockwise = quad[np.argsort(angles)]
    first = int(np.argmin(clockwise.sum(axis=1)))
    quad = np.roll(clockwise, -first, axis=0)
    across, down = np.linalg.norm(quad[1] - quad[0]), np.linalg.norm(quad[3] - quad[0])
    return quad if across >= down else np.roll(quad, -1, axis=0)


def sides(quad: Corners) -> tuple[float, float]:
    """Mean length of the long and of the short sides."""
    lengths = [float(np.linalg.norm(quad[index] - quad[(index + 1) % 4])) for index in range(4)]
    return (lengths[0] + lengths[2]) / 2, (lengths[1] + lengths[3]) / 2
