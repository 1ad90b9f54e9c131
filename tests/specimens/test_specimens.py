"""Specimens say what their truth says, are the same at every drawing, and can't pass for real cards."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from endpoint.reader.gazetteer import Gazetteer
from endpoint.reader.warning_codes import is_number_12
from schemas.documents import DOCUMENTS
from schemas.fields import Kind
from specimens import __main__ as command
from specimens.drawing.disturb import CONDITIONS, disturbed
from specimens.drawing.draw import Style, draw
from specimens.drawing.layouts import LAYOUTS, Layout
from specimens.people import TUNING, UNSEEN, Person, number_12, someone
from tests.specimens.fonts import needs_fonts

CARDS = Path(__file__).parents[2] / "cards"
pytestmark = needs_fonts


@pytest.fixture(scope="module")
def person() -> Person:
    return someone(Random(4), Gazetteer(), TUNING)


def test_there_is_a_layout_of_every_type() -> None:
    assert {layout.document_type for layout in LAYOUTS} == set(DOCUMENTS)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.document_type + layout.variant)
def test_the_truth_covers_every_text_of_the_contract_and_boxes_lie_on_the_card(layout: Layout, person: Person) -> None:
    specimen = draw(layout, person, Style(scale=1.0))
    fields = DOCUMENTS[layout.document_type]
    assert set(specimen.values) == {field.name for field in fields if field.kind in (Kind.TEXT, Kind.DATE)}
    boxed = {field.name.removesuffix("_box") for field in fields if field.kind is Kind.BOX}
    assert set(specimen.boxes) == {name for name in boxed if specimen.values[name]}
    width, height = specimen.image.size
    outside = [name for name, box in specimen.boxes.items() if min(box) < 0 or box[2] > width or box[3] > height]
    assert outside == []


def test_every_specimen_is_marked_across(person: Person) -> None:
    for layout in LAYOUTS:
        marked, bare = (np.asarray(draw(layout, person, Style(marked=mark)).image, dtype=int) for mark in (True, False))
        reddened = np.abs(marked - bare).sum(axis=2) > 12
        across = np.flatnonzero(reddened.any(axis=0))
        assert across[-1] - across[0] > 0.8 * marked.shape[1], layout.document_type


def test_the_two_halves_share_no_word() -> None:
    for field in ("family", "given", "streets", "marks", "units"):
        assert not set(getattr(TUNING, field)) & set(getattr(UNSEEN, field)), field


def test_numbers_follow_the_rules_and_end_in_serials_not_given_out(person: Person) -> None:
    assert is_number_12(person.number_12, f"{person.dob:%d-%m-%Y}", person.gender)
    assert person.number_12[6] == "9"
    province = next(unit for unit in Gazetteer().provinces if unit.code == "1")
    other = number_12(province, "nữ" if person.gender == "nam" else "nam", person.dob, 1)
    assert not is_number_12(other, f"{person.dob:%d-%m-%Y}", person.gender)


@pytest.mark.parametrize("name", sorted(CONDITIONS))
def test_a_disturbed_image_is_the_same_again_and_keeps_its_boxes_on_it(name: str, person: Person) -> None:
    specimen = draw(LAYOUTS[4], person, replace(Style(), scale=0.6))
    first, second = (disturbed(specimen, CONDITIONS[name], Random(8)) for _ in range(2))
    assert first == second
    assert set(first[1]) == set(specimen.boxes)


@pytest.mark.slow
def test_the_bundled_cards_are_drawn_again_byte_for_byte(tmp_path: Path) -> None:
    assert command.main([f"--output={tmp_path}"]) == 0
    drawn, bundled = ({file.name: file.read_bytes() for file in folder.iterdir()} for folder in (tmp_path, CARDS))
    assert drawn.keys() == bundled.keys() - {"truth.csv"}
    assert [name for name in drawn if drawn[name] != bundled[name]] == []
    shutil.rmtree(tmp_path)
