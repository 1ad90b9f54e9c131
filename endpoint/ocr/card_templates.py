"""What each side of each card prints: the phrases that tell it apart and the labels its values stand at.

Wording as on the real cards (see `specimens.drawing.layouts` for the sources). A side lists every generation's
label for a field; phrases and labels are compared without tone marks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Value(Enum):
    """What may stand at a label, and so how its text is read."""

    TEXT = "one line of text"
    LINES = "text that may go on below"
    DATE = "a date in digits or in words"
    DIGITS = "a number"
    CODE = "letters and digits without spaces"
    GENDER = "nam or nữ"
    WORD = "text up to a slash"
    CLASS = "classes of a driving licence"
    BLOOD = "a blood type"


@dataclass(frozen=True, slots=True)
class Label:
    """The field whose value stands right of or below one of `texts`; without texts, it is found by its form alone.

    `wide`: the value below may start left of the label (centred headings).
    """

    field: str
    value: Value
    texts: tuple[str, ...]
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Side:
    """One side of one card: `phrases` weigh more than labels in telling types apart."""

    document_type: str
    phrases: tuple[str, ...]
    labels: tuple[Label, ...]
    marks: tuple[str, ...] = ()
    """Texts that stand on the card, are no label of a field, and end the value above or left of them."""
    fixed: tuple[tuple[str, str], ...] = ()
    """Fields whose text never varies on this side, and so is not read: who issues a generation of chip cards."""
    has_code: bool = False
    """Whether a QR code with the holder's particulars stands on it."""


_NAME = Label("name", Value.TEXT, ("Họ và tên", "Full name", "Họ tên", "Họ, chữ đệm và tên khai sinh"))
_DOB = Label("dob", Value.DATE, ("Ngày sinh", "Date of birth", "Ngày, tháng, năm sinh", "Sinh ngày"))
_GENDER = Label("gender", Value.GENDER, ("Giới tính", "Sex"))
_NATION = Label("nationality", Value.WORD, ("Quốc tịch", "Nationality"))
_ORIGIN = Label("hometown", Value.LINES, ("Quê quán", "Place of origin", "Nguyên quán"))
_HOME = Label("address", Value.LINES, ("Nơi thường trú", "Place of residence", "Nơi ĐKHK thường trú", "Nơi cư trú"))
_DUE = Label("due_date", Value.DATE, ("Có giá trị đến", "Date of expiry"))
_ETHNIC = Label("ethnicity", Value.WORD, ("Dân tộc",))
_MARK = Label("identification_sign", Value.LINES, ("Đặc điểm nhận dạng", "Personal identification"))
_ARMY_ID = Label("id", Value.DIGITS, ("Số",))
_ARMY_NAME = Label("name", Value.TEXT, ("Họ tên", "Họ và tên"))
_ARMY_UNIT = Label("unit", Value.TEXT, ("Đơn vị cấp", "Đơn vị"))
_ARMY_DUE = Label("due_date", Value.DATE, ("Hạn sử dụng", "Giá trị đến"))
_BLOOD = Label("blood_type", Value.BLOOD, ("Nhóm máu",))
_ISSUED_WORDS = Label("issue_date", Value.DATE, ())

_STATE = ("Cộng hòa xã hội chủ nghĩa Việt Nam", "Độc lập - Tự do - Hạnh phúc")
_STATE_EN = ("Socialist Republic of Viet Nam", "Independence - Freedom - Happiness")
_FINGERS = ("Ngón trỏ trái", "Ngón trỏ phải", "Left index finger", "Right index finger")

SIDES: tuple[Side, ...] = (
    Side(
        "9_id_card_front",
        ("Giấy chứng minh nhân dân", "Nguyên quán", "Nơi ĐKHK thường trú", "Sinh ngày"),
        (Label("id", Value.DIGITS, ("Số",)), _NAME, _DOB, _ORIGIN, _HOME),
        _STATE,
    ),
    Side(
        "9_id_card_back",
        ("Dấu vết riêng và dị hình", "Tôn giáo", "Giám đốc"),
        (
            _ETHNIC,
            Label("religious", Value.WORD, ("Tôn giáo",)),
            Label("identification_sign", Value.LINES, ("Dấu vết riêng và dị hình",), wide=True),
            _ISSUED_WORDS,
            Label("issued_at", Value.LINES, ("Giám đốc",)),
        ),
        _FINGERS,
    ),
    Side(
        "12_id_card_front",
        ("Căn cước công dân", "Ngày, tháng, năm sinh", "Dân tộc"),
        (Label("id", Value.DIGITS, ("Số",)), _NAME, _DOB, _GENDER, _ETHNIC, _NATION, _ORIGIN, _HOME, _DUE),
        _STATE,
    ),
    Side(
        "12_id_card_back",
        ("Cục cảnh sát ĐKQL cư trú và DLQG về dân cư", "Đặc điểm nhận dạng"),
        (_MARK, _ISSUED_WORDS, Label("issued_at", Value.LINES, ("Cục trưởng",))),
        _FINGERS,
    ),
    Side(
        "chip_id_card_front",
        ("Căn cước công dân", "Citizen Identity Card", "Place of origin", "Place of residence"),
        (Label("id", Value.DIGITS, ("Số / No.",)), _NAME, _DOB, _GENDER, _NATION, _ORIGIN, _HOME, _DUE),
        (*_STATE, *_STATE_EN, "Citizen Identity Card"),
        has_code=True,
    ),
    Side(
        "chip_id_card_front",
        ("Căn cước", "Identity Card", "Số định danh cá nhân", "Họ, chữ đệm và tên khai sinh"),
        (
            Label("id", Value.DIGITS, ("Số định danh cá nhân", "Personal identification number")),
            _NAME, _DOB, _GENDER, _NATION,
        ),
        (*_STATE, *_STATE_EN),
    ),
    Side(
        "chip_id_card_back",
        ("Personal identification", "Date, month, year", "Cục trưởng cục cảnh sát",
         "Quản lý hành chính về trật tự xã hội", "Director general of the police department"),
        (_MARK, Label("issue_date", Value.DATE, ("Ngày, tháng, năm", "Date, month, year"))),
        (*_FINGERS, "Cục trưởng cục cảnh sát", "Director general of the police department"),
        (("issued_at", "CỤC CẢNH SÁT QUẢN LÝ HÀNH CHÍNH VỀ TRẬT TỰ XÃ HỘI"),),
    ),
    Side(
        "chip_id_card_back",
        ("Nơi cư trú", "Nơi đăng ký khai sinh", "Bộ Công an", "Ministry of Public Security"),
        (Label("issue_date", Value.DATE, ("Ngày, tháng, năm cấp", "Date of issue")),),
        ("Nơi cư trú", "Place of residence", "Nơi đăng ký khai sinh", "Place of birth",
         "Ngày, tháng, năm hết hạn", "Date of expiry"),
        (("issued_at", "BỘ CÔNG AN"),),
        has_code=True,
    ),
    Side(
        "driving_license",
        ("Giấy phép lái xe", "Driver's license", "Bộ GTVT", "Hạng / Class", "Nơi cư trú / Address"),
        (
            Label("id", Value.DIGITS, ("Số / No",)), _NAME, _DOB, _NATION,
            Label("address", Value.LINES, ("Nơi cư trú", "Address")),
            Label("class", Value.CLASS, ("Hạng", "Class")),
            Label("due_date", Value.DATE, ("Có giá trị đến", "Expires")),
            _ISSUED_WORDS,
        ),
        (*_STATE, "Bộ GTVT"),
    ),
    Side(
        "passport",
        ("Hộ chiếu", "Passport", "Số hộ chiếu", "Nơi cấp / Place of issue", "Nơi sinh / Place of birth"),
        (
            Label("id", Value.CODE, ("Số hộ chiếu", "Passport No")),
            Label("full_name", Value.TEXT, ("Họ và tên", "Full name")),
            _NATION, _DOB,
            Label("place_of_birth", Value.TEXT, ("Nơi sinh", "Place of birth")),
            _GENDER,
            Label("person_number", Value.DIGITS, ("Số GCMND", "ID card No")),
            Label("issue_date", Value.DATE, ("Ngày cấp", "Date of issue")),
            _DUE,
            Label("issued_at", Value.TEXT, ("Nơi cấp", "Place of issue")),
        ),
        ("Loại / Type", "Mã số / Code"),
    ),
    Side(
        "military_id_card_front",
        ("Chứng minh quân nhân", "Đơn vị cấp", "Ngày cấp", "Hạn sử dụng"),
        (_ARMY_ID, _ARMY_NAME, _DOB, _ARMY_UNIT, Label("issue_date", Value.DATE, ("Ngày cấp",)), _ARMY_DUE),
        _STATE,
    ),
    Side(
        "military_id_card_back",
        ("Giữ gìn Chứng minh quân nhân", "Nhóm máu", "Đặc điểm nhận dạng"),
        (_DOB, _ORIGIN, _HOME, _MARK, _BLOOD),
        ("Có trách nhiệm giữ gìn",),
    ),
    Side(
        "officer_id_card_front",
        ("Giấy chứng minh sĩ quan", "Cấp bậc", "Đơn vị cấp", "Hạn sử dụng"),
        (_ARMY_ID, _ARMY_NAME, Label("rank", Value.TEXT, ("Cấp bậc",)), _ARMY_UNIT, _ISSUED_WORDS, _ARMY_DUE),
        _STATE,
    ),
    Side(
        "officer_id_card_back",
        ("Giữ gìn Giấy chứng minh sĩ quan", "Nhóm máu", "Sinh ngày"),
        (_DOB, _ORIGIN, _HOME, Label("identification_sign", Value.LINES, ("Nhận dạng",)), _BLOOD),
        ("Có trách nhiệm giữ gìn",),
    ),
)  # fmt: skip
"""Every side, the chip card's two generations each in their own row."""
