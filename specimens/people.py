"""Fictional people: names, dates, numbers and places drawn from tables by a seeded generator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from random import Random

from endpoint.reader.gazetteer import Gazetteer, Located, Unit


@dataclass(frozen=True, slots=True)
class Words:
    """The word lists of one half of the specimens; the two halves share none."""

    family: tuple[str, ...]
    middle: dict[str, tuple[str, ...]]
    given: tuple[str, ...]
    streets: tuple[str, ...]
    marks: tuple[str, ...]
    units: tuple[str, ...]


TUNING = Words(
    family=("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Vũ", "Đặng", "Bùi", "Đỗ", "Hồ"),
    middle={"nam": ("Văn", "Hữu", "Đức", "Quang", "Minh"), "nữ": ("Thị", "Ngọc", "Thu", "Thanh", "Mỹ")},
    given=(
        "An",
        "Bình",
        "Châu",
        "Dũng",
        "Giang",
        "Hằng",
        "Hiếu",
        "Hương",
        "Khánh",
        "Lân",
        "Mai",
        "Nghĩa",
        "Phượng",
        "Quý",
        "Sơn",
        "Thảo",
        "Tuấn",
        "Uyên",
        "Vượng",
        "Yến",
    ),
    streets=("Tổ 5", "Số 12 Ngõ 8", "Thôn Đông", "Ấp 3", "Khu phố 2", "Xóm Mới", "Đội 7"),
    marks=(
        "Nốt ruồi cách 1cm trên sau mép phải",
        "Sẹo chấm cách 2cm dưới trước đuôi mắt trái",
        "Nốt ruồi cách 0,5cm trước cánh mũi phải",
        "Sẹo chấm cách 1,5cm trên đầu lông mày trái",
    ),
    units=("Quân khu 3", "Quân đoàn 1", "Quân chủng Hải quân", "Bộ đội Biên phòng"),
)
UNSEEN = Words(
    family=("Phan", "Võ", "Huỳnh", "Dương", "Lý", "Trịnh", "Đinh", "Mạc", "Tạ", "Quách"),
    middle={"nam": ("Công", "Xuân", "Trọng", "Thế", "Bảo"), "nữ": ("Diệu", "Kim", "Bích", "Hồng", "Tuyết")},
    given=(
        "Ánh",
        "Chiến",
        "Đạt",
        "Điệp",
        "Hải",
        "Hiền",
        "Kiên",
        "Liễu",
        "Loan",
        "Mẫn",
        "Nhật",
        "Oanh",
        "Phú",
        "Quỳnh",
        "Tâm",
        "Thủy",
        "Trường",
        "Tú",
        "Vỹ",
        "Ý",
    ),
    streets=("Tổ dân phố 9", "Số 47 Ngách 3", "Thôn Thượng", "Ấp Hòa Lợi", "Bản Nà", "Khối 6", "Đường số 14"),
    marks=(
        "Sẹo dài cách 3cm trên sau khoé mắt phải",
        "Nốt ruồi cách 2,5cm dưới trước tai trái",
        "Sẹo tròn cách 1cm dưới cằm",
        "Nốt ruồi giữa trán",
    ),
    units=("Quân khu 7", "Quân đoàn 4", "Binh chủng Công binh", "Học viện Hậu cần"),
)
ETHNICITIES = ("Kinh", "Tày", "Thái", "Mường", "Nùng")
RELIGIONS = ("Không", "Phật giáo", "Thiên chúa")
BLOOD_TYPES = ("A", "B", "AB", "O")
RANKS = ("Cấp úy", "Thiếu tá", "Trung tá", "Thượng tá", "Đại tá")
CLASSES = ("A1", "A2", "B1", "B2", "C", "D", "E", "FC")


@dataclass(frozen=True, slots=True)
class Place:
    """A place as printed, and the units it lies in (the truth for the place fields)."""

    printed: str
    units: Located


@dataclass(frozen=True, slots=True)
class Person:
    """One fictional holder; the numbers follow the rules but end in serials not issued."""

    name: str
    gender: str
    dob: date
    number_12: str
    number_9: str
    passport_number: str
    army_number: str
    licence_number: str
    hometown: Place
    address: Place
    issued: date
    expires: date
    ethnicity: str
    religion: str
    mark: str
    unit: str
    rank: str
    blood_type: str
    licence_class: str


def someone(random: Random, gazetteer: Gazetteer, words: Words) -> Person:
    """A person of the word lists; the same state of `random` gives the same person."""
    gender = random.choice(("nam", "nữ"))
    dob = date(1955, 1, 1) + timedelta(days=random.randrange(50 * 365))
    issued = date(2016, 1, 1) + timedelta(days=random.randrange(9 * 365))
    province = random.choice(gazetteer.provinces)
    given = f"{random.choice(words.middle[gender])} {random.choice(words.given)}"
    serial = random.randrange(100_000)
    return Person(
        name=f"{random.choice(words.family)} {given}",
        gender=gender,
        dob=dob,
        number_12=number_12(province, gender, dob, serial),
        number_9=f"{int(province.code):02d}9{random.randrange(10**6):06d}",
        passport_number=f"{random.choice('BCKN')}{random.randrange(10**7):07d}",
        army_number=f"{random.randrange(10**8):08d}",
        licence_number=f"{int(province.code):02d}{random.randrange(10):d}{random.randrange(10**9):09d}",
        hometown=_place(random, province, ""),
        address=_place(random, random.choice(gazetteer.provinces), random.choice(words.streets)),
        issued=issued,
        expires=issued + timedelta(days=3652),
        ethnicity=random.choice(ETHNICITIES),
        religion=random.choice(RELIGIONS),
        mark=random.choice(words.marks),
        unit=random.choice(words.units),
        rank=random.choice(RANKS),
        blood_type=random.choice(BLOOD_TYPES),
        licence_class=random.choice(CLASSES),
    )


def number_12(province: Unit, gender: str, dob: date, serial: int) -> str:
    """Number of the 12-digit cards: province, century and gender, year, serial (Decree 137/2015/ND-CP, article 13).

    Serials start with 9: no province has a million births a year of one gender, so the number is no one's.
    """
    century = 2 * (dob.year // 100 - 19) + (gender == "nữ")
    return f"{int(province.code):03d}{century}{dob.year % 100:02d}9{serial:05d}"


def misnumbered(person: Person, random: Random) -> Person:
    """The same person with a 12-digit number that breaks the rules: no such province, or another year, or too short."""
    number = person.number_12
    year = f"{(int(number[4:6]) + random.randrange(1, 99)) % 100:02d}"
    wrong = random.choice((f"003{number[3:]}", f"{number[:4]}{year}{number[6:]}", number[:-1]))
    return replace(person, number_12=wrong)


def _place(random: Random, province: Unit, street: str) -> Place:
    district = random.choice([unit for unit in province.parts if unit.parts])
    ward = random.choice(district.parts)
    printed = ", ".join((*([street] if street else []), ward.name, _bare(district), _bare(province)))
    return Place(printed, Located(province, district, ward))


def _bare(unit: Unit) -> str:
    """Cards print districts and provinces without their kind, but for the numbered ones ("Quận 8")."""
    for kind in ("Thành phố ", "Thị xã ", "Huyện ", "Quận ", "Tỉnh "):
        rest = unit.name.removeprefix(kind)
        if rest != unit.name:
            return unit.name if rest[:1].isdigit() else rest
    return unit.name
