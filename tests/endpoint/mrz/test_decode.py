"""A machine-readable zone is read as its check digits allow, and garbage is never made valid."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endpoint.mrz.decode import Holder, read_zone
from endpoint.mrz.formats import ALPHABET, FORMATS, TD1, TD3, check_digit, holds
from specimens.drawing.mrz_lines import zone_lines

TODAY = date(2026, 11, 22)
HOLDER = Holder(
    country="VNM",
    nationality="VNM",
    document_number="089982314",
    person_number="062089982314",
    dob=date(1989, 7, 4),
    due_date=date(2033, 6, 29),
    gender="M",
    sur_name="DANG",
    given_name="VAN BINH",
)


def certain(lines: tuple[str, ...], sure: float = 0.99) -> np.ndarray:
    """Cells that hold those characters, as sure as said; the rest is spread over the others."""
    cells = np.full((len(lines), len(lines[0]), len(ALPHABET)), (1 - sure) / 36, dtype=np.float32)
    for line, text in enumerate(lines):
        for cell, char in enumerate(text):
            cells[line, cell, ALPHABET.index(char)] = sure
    return cells


@pytest.mark.parametrize(
    ("text", "digit"),
    [("520727", "3"), ("AB2134<<<", "5"), ("L898902C3", "6"), ("<<<<<<<<<<<<<<", "0")],
    ids=["a date", "a number with fillers", "the number of ICAO 9303's specimen", "nothing"],
)
def test_check_digits_are_those_of_icao_9303(text: str, digit: str) -> None:
    assert check_digit(text) == digit


def test_the_specimen_passport_of_icao_9303_holds() -> None:
    lines = ("P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<", "L898902C36UTO7408122F1204159ZE184226B<<<<<10")
    assert holds(lines, TD3)
    assert not holds((lines[0], lines[1].replace("740812", "740813")), TD3)


@pytest.mark.parametrize("document_type", sorted(FORMATS))
def test_a_printed_zone_is_read_back_whole(document_type: str) -> None:
    lines = zone_lines(HOLDER, document_type)
    zone = read_zone(certain(lines), FORMATS[document_type], TODAY)
    assert (zone.lines, zone.holder, zone.checked) == (lines, HOLDER, True)
    assert zone.confidence == pytest.approx(0.99, abs=0.01)


def test_one_doubtful_cell_is_mended_by_the_check_digits() -> None:
    lines = zone_lines(HOLDER, "chip_id_card_back")
    cells = certain(lines)
    cells[0, 7] = 0
    cells[0, 7, ALPHABET.index("8")], cells[0, 7, ALPHABET.index("9")] = 0.55, 0.45
    assert lines[0][7] == "9"
    assert read_zone(cells, TD1, TODAY).lines == lines


def test_a_check_digit_does_not_make_a_cell_what_it_is_not_like() -> None:
    lines = zone_lines(HOLDER, "chip_id_card_back")
    cells = certain((lines[0].replace("089982314", "084982314", 1), *lines[1:]), sure=0.8)
    cells[0, 7, ALPHABET.index("9")] = 0.2
    zone = read_zone(cells, TD1, TODAY)
    assert (zone.lines[0][5:14], zone.checked) == ("084982314", False)


@given(st.lists(st.integers(15, 26), min_size=3, max_size=8, unique=True))
def test_many_doubtful_cells_are_left_as_they_were_read(places: list[int]) -> None:
    lines = zone_lines(HOLDER, "chip_id_card_back")
    cells = certain(lines)
    misread = list(lines[0])
    for cell in places:
        wrong = str((int(lines[0][cell]) + 1) % 10)
        cells[0, cell] = 0.01
        cells[0, cell, ALPHABET.index(wrong)], cells[0, cell, ALPHABET.index(lines[0][cell])] = 0.4, 0.35
        misread[cell] = wrong
    zone = read_zone(cells, TD1, TODAY)
    assert zone.lines == ("".join(misread), *lines[1:])
    assert zone.checked == holds(zone.lines, TD1)
    assert zone.checked or zone.confidence <= 0.2


@given(st.binary(min_size=90 * 37, max_size=90 * 37))
def test_noise_never_crashes_and_is_not_trusted(noise: bytes) -> None:
    cells = np.frombuffer(noise, dtype=np.uint8).reshape(3, 30, 37).astype(np.float32) + 1
    zone = read_zone((cells / cells.sum(axis=2, keepdims=True)).astype(np.float32), TD1, TODAY)
    assert zone.confidence <= 0.25


@pytest.mark.parametrize(
    ("dob", "person_number", "expected"),
    [
        (date(1935, 1, 2), "001035900001", date(1935, 1, 2)),
        (date(2005, 1, 2), "001205900001", date(2005, 1, 2)),
        (date(2005, 1, 2), "", date(2005, 1, 2)),
        (date(1955, 1, 2), "", date(1955, 1, 2)),
    ],
    ids=["century of the number, old", "century of the number, young", "not after today", "not in the future"],
)
def test_the_century_of_birth_is_settled(dob: date, person_number: str, expected: date) -> None:
    lines = zone_lines(replace(HOLDER, dob=dob, person_number=person_number), "passport")
    assert read_zone(certain(lines), TD3, TODAY).holder.dob == expected


def test_nothing_is_read_in_the_padding_after_the_names() -> None:
    lines = zone_lines(HOLDER, "chip_id_card_back")
    spoiled = (*lines[:2], lines[2][:26] + "C<" + lines[2][28:])
    zone = read_zone(certain(spoiled), TD1, TODAY)
    assert (zone.lines, zone.holder.given_name) == (lines, "VAN BINH")


@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_what_is_printed_clearly_is_never_changed_to_please_a_check_digit(
    document_type: str, data: st.DataObject
) -> None:
    layout, lines = FORMATS[document_type], list(zone_lines(HOLDER, document_type))
    checked = sorted({(span.line, cell) for check in layout.checks for span in (check.digit, *check.over)
                      for cell in range(span.start, span.stop)})  # fmt: skip
    for line, cell in data.draw(st.lists(st.sampled_from(checked), min_size=1, max_size=6, unique=True)):
        if lines[line][cell].isdigit():
            other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != lines[line][cell]]))
            lines[line] = lines[line][:cell] + other + lines[line][cell + 1 :]
    zone = read_zone(certain(tuple(lines)), layout, TODAY)
    assert zone.lines == tuple(lines)
    assert zone.checked == holds(lines, layout)
    assert zone.checked or zone.confidence <= 0.2


@given(st.sampled_from(sorted(FORMATS)), st.randoms(use_true_random=False))
def test_a_blurred_zone_with_several_wrong_cells_is_hardly_ever_valid_and_wrong(
    document_type: str, random: Random
) -> None:
    layout, lines = FORMATS[document_type], zone_lines(HOLDER, document_type)
    cells = certain(lines, sure=0.9)
    for _ in range(4):  # four digits that look like another one, the right one second
        line = random.randrange(len(lines))
        cell = random.choice([at for at, char in enumerate(lines[line]) if char.isdigit()] or [0])
        wrong = random.randrange(10)
        cells[line, cell] = 0.001
        cells[line, cell, wrong] = 0.55
        cells[line, cell, ALPHABET.index(lines[line][cell])] += 0.40
    zone = read_zone(cells, layout, TODAY)
    wrong_cells = sum(
        one != other
        for stated, message in zip(zone.lines, lines, strict=True)
        for one, other in zip(stated, message, strict=True)
    )
    assert not zone.checked or wrong_cells == 0 or zone.confidence < 0.6
