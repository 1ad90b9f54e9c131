"""The same cards laid out as closely to the real ones as words tell: small labels in two languages, values beside them.

What makes real cards hard is here: an address that begins on its label's line, a date of expiry under the portrait, a
red number, dotted lines, an issue date whose words are interleaved in two languages. Sources as in `layouts`.
"""

from __future__ import annotations

from specimens.drawing import layouts
from specimens.drawing.layouts import Form, Layout, Printed

_DARK = "dark"


def _centred(y: int, text: str, size: int, *, x: int = 570, bold: bool = False, ink: str = "") -> Printed:
    return Printed(x, y, text, size=size, bold=bold, ink=ink, centred=True)


def _state(x: int, size: int = 24) -> tuple[Printed, Printed]:
    return (
        _centred(24, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", size, x=x, bold=True, ink=_DARK),
        _centred(24 + round(1.25 * size), "Độc lập - Tự do - Hạnh phúc", size - 2, x=x, bold=True, ink=_DARK),
    )


_STATE_EN = (
    _centred(84, "SOCIALIST REPUBLIC OF VIET NAM", 17, x=500),
    _centred(106, "Independence - Freedom - Happiness", 16, x=500),
)
_LEFT = 318


def _small(x: int, y: int, label: str, field: str, *, size: int = 25, **others: object) -> Printed:
    """A value with a label of two thirds its size."""
    return Printed(x, y, label, field, size=size, label_size=17, **others)  # type: ignore[arg-type]  # its own fields


CHIP_FRONT_2021 = Layout(
    "chip_id_card_front",
    (
        *_state(500, 22), *_STATE_EN,
        _centred(136, "CĂN CƯỚC CÔNG DÂN", 36, x=510, bold=True),
        _centred(184, "Citizen Identity Card", 21, x=510, bold=True),
        Printed(_LEFT, 222, "Số / No.:", "id", size=34, bold=True, ink=_DARK, label_size=20),
        _small(_LEFT, 274, "Họ và tên / Full name:", "name", size=27, below=True),
        _small(_LEFT, 346, "Ngày sinh / Date of birth:", "dob", form=Form.SLASHES),
        _small(_LEFT, 382, "Giới tính / Sex:", "gender", form=Form.TITLE),
        _small(590, 382, "Quốc tịch / Nationality:", "nationality"),
        _small(_LEFT, 418, "Quê quán / Place of origin:", "hometown", below=True, width=660),
        _small(_LEFT, 490, "Nơi thường trú / Place of residence:", "address", width=650),
        Printed(52, 548, "Có giá trị đến:", "due_date", size=18, label_size=14, form=Form.SLASHES),
        Printed(52, 572, "Date of expiry", size=14),
    ),
    variant="2021", portrait=(48, 226, 288, 536), code=(838, 48, 962, 172), emblem=(70, 50, 190, 170),
)  # fmt: skip

CHIP_BACK_2021 = Layout(
    "chip_id_card_back",
    (
        _small(232, 26, "Đặc điểm nhận dạng / Personal identification:", "identification_sign", below=True, width=720),
        _small(232, 98, "Ngày, tháng, năm / Date, month, year:", "issue_date", form=Form.SLASHES),
        _centred(140, "CỤC TRƯỞNG CỤC CẢNH SÁT", 19, x=480, bold=True, ink=_DARK),
        _centred(164, "QUẢN LÝ HÀNH CHÍNH VỀ TRẬT TỰ XÃ HỘI", 19, x=480, bold=True, ink=_DARK),
        _centred(188, "DIRECTOR GENERAL OF THE POLICE DEPARTMENT", 13, x=480),
        _centred(206, "FOR ADMINISTRATIVE MANAGEMENT OF SOCIAL ORDER", 13, x=480),
        Printed(760, 140, "Ngón trỏ trái", size=14), Printed(760, 158, "Left index finger", size=13),
        Printed(760, 300, "Ngón trỏ phải", size=14), Printed(760, 318, "Right index finger", size=13),
    ),
    variant="2021", portrait=None, zone_y=438, chip=(60, 60, 180, 160),
    prints=((770, 180, 880, 290), (770, 340, 880, 430)),
)  # fmt: skip

ID_12_FRONT = Layout(
    "12_id_card_front",
    (
        *_state(620, 25),
        _centred(94, "CĂN CƯỚC CÔNG DÂN", 38, x=620, bold=True),
        Printed(400, 146, "Số:", "id", size=38, bold=True, label_size=28),
        _small(_LEFT, 208, "Họ và tên:", "name", size=28, bold=True, ink=_DARK),
        _small(_LEFT, 258, "Ngày, tháng, năm sinh:", "dob", size=26, form=Form.SLASHES),
        _small(_LEFT, 302, "Giới tính:", "gender", form=Form.TITLE),
        _small(510, 302, "Dân tộc:", "ethnicity"),
        _small(700, 302, "Quốc tịch:", "nationality"),
        _small(_LEFT, 346, "Quê quán:", "hometown", width=650),
        _small(_LEFT, 424, "Nơi thường trú:", "address", width=650),
        Printed(48, 560, "Có giá trị đến:", "due_date", size=19, label_size=15, form=Form.SLASHES),
    ),
    portrait=(48, 216, 280, 546), tint=(216, 232, 240), emblem=(70, 40, 190, 160),
)  # fmt: skip

ID_12_BACK = Layout(
    "12_id_card_back",
    (
        _small(262, 36, "Đặc điểm nhận dạng:", "identification_sign", size=26, below=True, width=690),
        Printed(450, 150, "", "issue_date", size=23, form=Form.WORDS),
        Printed(330, 190, "CỤC TRƯỞNG", "issued_at", size=19, label_size=19, width=620),
        Printed(40, 40, "Ngón trỏ trái", size=16), Printed(40, 330, "Ngón trỏ phải", size=16),
    ),
    tint=(216, 232, 240), portrait=None, prints=((50, 66, 210, 300), (50, 358, 210, 590)),
)  # fmt: skip

ID_9_FRONT = Layout(
    "9_id_card_front",
    (
        *_state(630, 24),
        _centred(86, "GIẤY CHỨNG MINH NHÂN DÂN", 36, x=620, bold=True),
        Printed(480, 136, "SỐ", "id", size=40, bold=True, label_size=30),
        Printed(_LEFT, 204, "Họ tên", "name", size=29, label_size=22, dotted=True),
        Printed(_LEFT, 274, "Sinh ngày", "dob", size=29, label_size=22, form=Form.DASHES, dotted=True),
        Printed(_LEFT, 340, "Nguyên quán", "hometown", size=27, label_size=22, width=650, dotted=True),
        Printed(_LEFT, 450, "Nơi ĐKHK thường trú", "address", size=27, label_size=22, width=650, dotted=True),
    ),
    tint=(206, 226, 214), portrait=(48, 206, 286, 540), emblem=(80, 40, 210, 170),
)  # fmt: skip

ID_9_BACK = Layout(
    "9_id_card_back",
    (
        Printed(250, 26, "Dân tộc:", "ethnicity", size=27, label_size=22, width=330, dotted=True),
        Printed(600, 26, "Tôn giáo:", "religious", size=27, label_size=22, width=350, dotted=True),
        _centred(78, "DẤU VẾT RIÊNG VÀ DỊ HÌNH", 24, x=600, bold=True, ink=_DARK),
        Printed(262, 122, "", "identification_sign", size=27, width=690, dotted=True),
        Printed(450, 250, "", "issue_date", size=24, form=Form.WORDS),
        Printed(420, 292, "GIÁM ĐỐC", "issued_at", size=23, bold=True, ink=_DARK, width=540),
        Printed(36, 60, "NGÓN TRỎ TRÁI", size=16), Printed(36, 340, "NGÓN TRỎ PHẢI", size=16),
    ),
    tint=(206, 226, 214), portrait=None, prints=((50, 90, 200, 320), (50, 370, 200, 590)),
)  # fmt: skip

LICENCE = Layout(
    "driving_license",
    (
        _centred(24, "BỘ GTVT", 20, x=150, bold=True, ink=_DARK), _centred(48, "MOT", 16, x=150),
        *_state(620, 21),
        _centred(84, "GIẤY PHÉP LÁI XE / DRIVER'S LICENSE", 27, x=620, bold=True),
        Printed(430, 122, "Số/No:", "id", size=30, bold=True, label_size=22),
        Printed(_LEFT, 170, "Họ tên/Full name:", "name", size=25, label_size=16, bold=True, ink=_DARK),
        Printed(_LEFT, 210, "Ngày sinh/Date of Birth:", "dob", size=24, label_size=16, form=Form.SLASHES),
        Printed(_LEFT, 250, "Quốc tịch/Nationality:", "nationality", size=24, label_size=16),
        Printed(_LEFT, 290, "Nơi cư trú/Address:", "address", size=23, label_size=16, width=650),
        Printed(470, 398, "", "issue_date", size=19, form=Form.WORDS_BOTH),
        Printed(60, 470, "Hạng/Class:", "class", size=30, bold=True, label_size=20),
        Printed(60, 524, "Có giá trị đến/Expires:", "due_date", size=22, label_size=16, form=Form.SLASHES),
    ),
    tint=(244, 232, 206), portrait=(48, 130, 286, 440),
)  # fmt: skip

REAL_LAYOUTS: tuple[Layout, ...] = (
    ID_9_FRONT, ID_9_BACK, ID_12_FRONT, ID_12_BACK, CHIP_FRONT_2021, CHIP_BACK_2021, LICENCE,
)  # fmt: skip
"""The sides that photographs of real cards showed to be hard."""

HARD_LAYOUTS = (*REAL_LAYOUTS, layouts.CHIP_FRONT_2024, layouts.CHIP_BACK_2024, layouts.PASSPORT)
"""What is drawn in the hard conditions."""
