"""How a card of each type is laid out: label wording and order as on the real ones, everything else plain.

Coordinates are pixels of a card 1000 wide. Wording of the civil cards: Circulars 06/2021/TT-BCA and
17/2024/TT-BCA and the cards they replaced; passport: Circular 73/2021/TT-BCA; licence: Circular
12/2017/TT-BGTVT; army cards: Decree 59/2016/ND-CP article 7 and Circular 218/2016/TT-BQP article 17.
For the backs of the two army cards no public wording tells them apart; the notice line does here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Form(Enum):
    """How a wire value is printed."""

    TEXT = "as it is"
    SLASHES = "01/02/1990"
    DASHES = "01-02-1990"
    WORDS = "ngày 01 tháng 02 năm 1990"
    WORDS_BOTH = "ngày/date 01 tháng/month 02 năm/year 1990"
    TITLE = "Nam"
    BOTH_SEXES = "Nam / M"
    BOTH_NATIONS = "VIỆT NAM / VIETNAMESE"


@dataclass(frozen=True, slots=True)
class Printed:
    """A fixed text, or a label and the value of `field` right of it (`below`: under it), wrapped at `width`."""

    x: int
    y: int
    label: str
    field: str = ""
    size: int = 25
    below: bool = False
    width: int = 640
    form: Form = Form.TEXT
    bold: bool = False
    centred: bool = False
    label_size: int = 0
    """Size of the label, where it is not a little smaller than its value."""
    ink: str = ""
    """"red" or "dark"; else red where it is bold."""
    dotted: bool = False
    """On a dotted line to the right end, over all lines of the value."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One side of one card: its type and variant, height, tint, where the portrait stands, what is printed."""

    document_type: str
    printed: tuple[Printed, ...]
    variant: str = ""
    height: int = 630
    tint: tuple[int, int, int] = (222, 236, 240)
    portrait: tuple[int, int, int, int] | None = (40, 215, 260, 500)
    zone_y: int | None = None
    prints: tuple[tuple[int, int, int, int], ...] = ()
    chip: tuple[int, int, int, int] | None = None
    code: tuple[int, int, int, int] | None = None
    """Where the QR code stands."""
    emblem: tuple[int, int, int, int] | None = None


STATE = Printed(640, 24, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", size=27, bold=True, centred=True)
MOTTO = Printed(640, 60, "Độc lập - Tự do - Hạnh phúc", size=23, centred=True)
STATE_EN = Printed(640, 92, "SOCIALIST REPUBLIC OF VIET NAM", size=19, centred=True)
MOTTO_EN = Printed(640, 118, "Independence - Freedom - Happiness", size=18, centred=True)


def _title(y: int, text: str, size: int = 36) -> Printed:
    return Printed(640, y, text, size=size, bold=True, centred=True)


CHIP_FRONT_2021 = Layout(
    "chip_id_card_front",
    (
        STATE, MOTTO, STATE_EN, MOTTO_EN,
        _title(146, "CĂN CƯỚC CÔNG DÂN"),
        Printed(640, 192, "Citizen Identity Card", size=22, centred=True),
        Printed(300, 232, "Số / No.:", "id", size=32, bold=True),
        Printed(300, 280, "Họ và tên / Full name:", "name", below=True, size=27),
        Printed(300, 352, "Ngày sinh / Date of birth:", "dob", form=Form.SLASHES),
        Printed(300, 390, "Giới tính / Sex:", "gender", form=Form.TITLE),
        Printed(590, 390, "Quốc tịch / Nationality:", "nationality"),
        Printed(300, 428, "Quê quán / Place of origin:", "hometown", below=True, width=680),
        Printed(300, 502, "Nơi thường trú / Place of residence:", "address", below=True, width=680),
        Printed(30, 530, "Có giá trị đến:", "due_date", size=18, form=Form.SLASHES),
        Printed(30, 558, "Date of expiry", size=16),
    ),
    variant="2021",
    chip=(60, 60, 150, 130),
)  # fmt: skip

CHIP_FRONT_2024 = Layout(
    "chip_id_card_front",
    (
        STATE, MOTTO, STATE_EN, MOTTO_EN,
        _title(150, "CĂN CƯỚC"),
        Printed(640, 198, "IDENTITY CARD", size=24, centred=True),
        Printed(300, 250, "Số định danh cá nhân / Personal identification number:", "id", below=True, size=26),
        Printed(300, 336, "Họ, chữ đệm và tên khai sinh / Full name:", "name", below=True, size=26),
        Printed(300, 422, "Ngày, tháng, năm sinh / Date of birth:", "dob", form=Form.SLASHES),
        Printed(300, 470, "Giới tính / Sex:", "gender", form=Form.TITLE),
        Printed(300, 518, "Quốc tịch / Nationality:", "nationality"),
    ),
    variant="2024",
    tint=(226, 240, 230),
)  # fmt: skip

CHIP_BACK_2021 = Layout(
    "chip_id_card_back",
    (
        Printed(230, 30, "Đặc điểm nhận dạng / Personal identification:", "identification_sign", below=True, width=720),
        Printed(230, 108, "Ngày, tháng, năm / Date, month, year:", "issue_date", form=Form.SLASHES),
        Printed(590, 150, "CỤC TRƯỞNG CỤC CẢNH SÁT", size=21, bold=True, centred=True),
        Printed(590, 178, "QUẢN LÝ HÀNH CHÍNH VỀ TRẬT TỰ XÃ HỘI", size=21, bold=True, centred=True),
        Printed(590, 206, "DIRECTOR GENERAL OF THE POLICE DEPARTMENT", size=16, centred=True),
        Printed(590, 228, "FOR ADMINISTRATIVE MANAGEMENT OF SOCIAL ORDER", size=16, centred=True),
        Printed(250, 300, "Ngón trỏ trái", size=18), Printed(250, 324, "Left index finger", size=16),
        Printed(700, 300, "Ngón trỏ phải", size=18), Printed(700, 324, "Right index finger", size=16),
    ),
    variant="2021", portrait=None, zone_y=440, chip=(60, 40, 170, 130),
    prints=((250, 350, 340, 420), (700, 350, 790, 420)),
)  # fmt: skip

CHIP_BACK_2024 = Layout(
    "chip_id_card_back",
    (
        Printed(60, 36, "Nơi cư trú / Place of residence:", "address", below=True, width=860, size=23),
        Printed(60, 112, "Nơi đăng ký khai sinh / Place of birth:", "hometown", below=True, width=860, size=23),
        Printed(420, 196, "Ngày, tháng, năm cấp / Date of issue:", "issue_date", size=22, form=Form.SLASHES),
        Printed(420, 240, "Ngày, tháng, năm hết hạn / Date of expiry:", "due_date", size=22, form=Form.SLASHES),
        Printed(640, 300, "BỘ CÔNG AN", size=26, bold=True, centred=True),
        Printed(640, 334, "MINISTRY OF PUBLIC SECURITY", size=20, centred=True),
    ),
    variant="2024", portrait=None, zone_y=440, chip=(80, 220, 190, 310), tint=(226, 240, 230),
)  # fmt: skip

PASSPORT = Layout(
    "passport",
    (
        Printed(500, 24, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", size=24, bold=True, centred=True),
        Printed(500, 56, "SOCIALIST REPUBLIC OF VIET NAM", size=19, centred=True),
        Printed(40, 96, "HỘ CHIẾU / PASSPORT", size=21, bold=True),
        Printed(330, 96, "Loại / Type", size=16), Printed(330, 118, "P", size=24),
        Printed(470, 96, "Mã số / Code", size=16), Printed(470, 118, "VNM", size=24),
        Printed(680, 96, "Số hộ chiếu / Passport No.", "id", size=22, below=True, bold=True),
        Printed(330, 164, "Họ và tên / Full name", "full_name", size=24, below=True),
        Printed(330, 232, "Quốc tịch / Nationality", "nationality", size=23, below=True, form=Form.BOTH_NATIONS),
        Printed(330, 298, "Ngày sinh / Date of birth", "dob", size=23, below=True, form=Form.SLASHES),
        Printed(660, 298, "Nơi sinh / Place of birth", "place_of_birth", size=23, below=True, width=320),
        Printed(330, 364, "Giới tính / Sex", "gender", size=23, below=True, form=Form.BOTH_SEXES),
        Printed(660, 364, "Số GCMND / ID card No.", "person_number", size=23, below=True),
        Printed(330, 430, "Ngày cấp / Date of issue", "issue_date", size=23, below=True, form=Form.SLASHES),
        Printed(660, 430, "Có giá trị đến / Date of expiry", "due_date", size=23, below=True, form=Form.SLASHES),
        Printed(330, 496, "Nơi cấp / Place of issue", "issued_at", size=23, below=True),
    ),
    height=704, tint=(234, 234, 216), portrait=(40, 160, 290, 490), zone_y=592,
)  # fmt: skip

ID_9_FRONT = Layout(
    "9_id_card_front",
    (
        STATE, MOTTO,
        _title(100, "GIẤY CHỨNG MINH NHÂN DÂN", 34),
        Printed(480, 150, "SỐ", "id", size=34, bold=True),
        Printed(300, 216, "Họ tên:", "name", size=28),
        Printed(300, 282, "Sinh ngày:", "dob", size=28, form=Form.DASHES),
        Printed(300, 346, "Nguyên quán:", "hometown", size=27, width=670),
        Printed(300, 452, "Nơi ĐKHK thường trú:", "address", size=27, width=670),
    ),
    tint=(214, 232, 226),
)  # fmt: skip

ID_9_BACK = Layout(
    "9_id_card_back",
    (
        Printed(250, 36, "Dân tộc:", "ethnicity", size=26),
        Printed(600, 36, "Tôn giáo:", "religious", size=26),
        Printed(600, 96, "DẤU VẾT RIÊNG VÀ DỊ HÌNH", size=25, bold=True, centred=True),
        Printed(250, 140, "", "identification_sign", size=26, width=700),
        Printed(420, 260, "", "issue_date", size=26, form=Form.WORDS),
        Printed(420, 306, "GIÁM ĐỐC", "issued_at", size=24, bold=True, width=560),
        Printed(40, 90, "NGÓN TRỎ TRÁI", size=18), Printed(40, 340, "NGÓN TRỎ PHẢI", size=18),
    ),
    tint=(214, 232, 226), portrait=None, prints=((50, 120, 200, 320), (50, 370, 200, 570)),
)  # fmt: skip

ID_12_FRONT = Layout(
    "12_id_card_front",
    (
        STATE, MOTTO,
        _title(100, "CĂN CƯỚC CÔNG DÂN"),
        Printed(400, 156, "Số:", "id", size=34, bold=True),
        Printed(300, 212, "Họ và tên:", "name", size=28),
        Printed(300, 266, "Ngày, tháng, năm sinh:", "dob", size=25, form=Form.SLASHES),
        Printed(300, 312, "Giới tính:", "gender", form=Form.TITLE),
        Printed(500, 312, "Dân tộc:", "ethnicity"),
        Printed(700, 312, "Quốc tịch:", "nationality"),
        Printed(300, 360, "Quê quán:", "hometown", width=670),
        Printed(300, 448, "Nơi thường trú:", "address", width=670),
        Printed(30, 540, "Có giá trị đến:", "due_date", size=19, form=Form.SLASHES),
    ),
    tint=(216, 232, 240),
)  # fmt: skip

ID_12_BACK = Layout(
    "12_id_card_back",
    (
        Printed(250, 40, "Đặc điểm nhận dạng:", "identification_sign", size=26, below=True, width=700),
        Printed(430, 190, "", "issue_date", size=25, form=Form.WORDS),
        Printed(430, 236, "CỤC TRƯỞNG", "issued_at", size=22, width=520),
        Printed(40, 40, "Ngón trỏ trái", size=18), Printed(40, 340, "Ngón trỏ phải", size=18),
    ),
    tint=(216, 232, 240), portrait=None, prints=((50, 70, 200, 300), (50, 370, 200, 590)),
)  # fmt: skip

LICENCE = Layout(
    "driving_license",
    (
        Printed(160, 26, "BỘ GTVT", size=22, bold=True, centred=True),
        Printed(160, 54, "MOT", size=18, centred=True),
        Printed(640, 24, "CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM", size=25, bold=True, centred=True),
        Printed(640, 56, "Độc lập - Tự do - Hạnh phúc", size=22, centred=True),
        Printed(640, 94, "GIẤY PHÉP LÁI XE / DRIVER'S LICENSE", size=28, bold=True, centred=True),
        Printed(420, 136, "Số/No:", "id", size=30, bold=True),
        Printed(300, 190, "Họ tên/Full name:", "name", size=25),
        Printed(300, 236, "Ngày sinh/Date of Birth:", "dob", form=Form.SLASHES),
        Printed(300, 282, "Quốc tịch/Nationality:", "nationality"),
        Printed(300, 328, "Nơi cư trú/Address:", "address", width=670),
        Printed(420, 430, "", "issue_date", size=22, form=Form.WORDS_BOTH),
        Printed(300, 490, "Hạng/Class:", "class", size=28, bold=True),
        Printed(300, 550, "Có giá trị đến/Expires:", "due_date", size=24, form=Form.SLASHES),
    ),
    tint=(242, 234, 206), portrait=(40, 150, 260, 440),
)  # fmt: skip

MILITARY_FRONT = Layout(
    "military_id_card_front",
    (
        STATE,
        _title(70, "CHỨNG MINH QUÂN NHÂN CHUYÊN NGHIỆP", 26),
        Printed(440, 130, "Số:", "id", size=30, bold=True),
        Printed(300, 196, "Họ tên:", "name", size=27),
        Printed(300, 256, "Sinh ngày:", "dob", size=26, form=Form.SLASHES),
        Printed(300, 316, "Đơn vị cấp:", "unit", size=26),
        Printed(300, 376, "Ngày cấp:", "issue_date", size=26, form=Form.SLASHES),
        Printed(40, 540, "Hạn sử dụng:", "due_date", size=20, form=Form.SLASHES),
    ),
    tint=(244, 218, 228),
)  # fmt: skip

MILITARY_BACK = Layout(
    "military_id_card_back",
    (
        Printed(60, 40, "Ngày, tháng, năm sinh:", "dob", size=26, form=Form.SLASHES),
        Printed(60, 100, "Quê quán:", "hometown", size=26, width=880),
        Printed(60, 190, "Nơi thường trú:", "address", size=26, width=880),
        Printed(60, 290, "Đặc điểm nhận dạng:", "identification_sign", size=26, width=880),
        Printed(60, 380, "Nhóm máu:", "blood_type", size=26),
        Printed(500, 560, "Có trách nhiệm giữ gìn Chứng minh quân nhân chuyên nghiệp", size=20, centred=True),
    ),
    tint=(244, 218, 228), portrait=None,
)  # fmt: skip

OFFICER_FRONT = Layout(
    "officer_id_card_front",
    (
        STATE,
        _title(70, "GIẤY CHỨNG MINH SĨ QUAN", 34),
        Printed(440, 130, "Số:", "id", size=30, bold=True),
        Printed(300, 196, "Họ tên:", "name", size=27),
        Printed(300, 256, "Cấp bậc:", "rank", size=26),
        Printed(300, 316, "Đơn vị cấp:", "unit", size=26),
        Printed(400, 386, "", "issue_date", size=25, form=Form.WORDS),
        Printed(40, 540, "Hạn sử dụng:", "due_date", size=20, form=Form.SLASHES),
    ),
    tint=(238, 222, 204),
)  # fmt: skip

OFFICER_BACK = Layout(
    "officer_id_card_back",
    (
        Printed(60, 40, "Sinh ngày:", "dob", size=26, form=Form.SLASHES),
        Printed(60, 100, "Quê quán:", "hometown", size=26, width=880),
        Printed(60, 190, "Nơi thường trú:", "address", size=26, width=880),
        Printed(60, 290, "Nhận dạng:", "identification_sign", size=26, width=880),
        Printed(60, 380, "Nhóm máu:", "blood_type", size=26),
        Printed(500, 560, "Sĩ quan có trách nhiệm giữ gìn Giấy chứng minh sĩ quan", size=20, centred=True),
    ),
    tint=(238, 222, 204), portrait=None,
)  # fmt: skip

LAYOUTS: tuple[Layout, ...] = (
    ID_9_FRONT, ID_9_BACK, ID_12_FRONT, ID_12_BACK, CHIP_FRONT_2021, CHIP_FRONT_2024, CHIP_BACK_2021, CHIP_BACK_2024,
    LICENCE, PASSPORT, MILITARY_FRONT, MILITARY_BACK, OFFICER_FRONT, OFFICER_BACK,
)  # fmt: skip
"""Every side that is drawn: twelve types, of which the chip card has two generations."""
