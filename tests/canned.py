"""One canned response for each document type, written down from the API document: each of its 286 fields, a value each.

No name here comes from the code under test. All people and places are fictional.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import date

import numpy as np

Info = dict[str, object]

# fmt: off
CANNED: dict[str, Info] = {
    "9_id_card_front": {
        "id": "000000000001", "name": "LÊ VĂN MẪU", "dob": "04-04-1953", "hometown": "Quê Mẫu 4",
        "address": "Số 5 Đường Thử", "address_town_code": "6", "address_district_code": "7",
        "address_ward_code": "8", "hometown_town_code": "9", "hometown_district_code": "10",
        "hometown_ward_code": "11", "address_town": "Tỉnh Mẫu 12", "address_district": "Huyện Mẫu 13",
        "address_ward": "Xã Mẫu 14", "hometown_town": "Tỉnh Mẫu 15", "hometown_district": "Huyện Mẫu 16",
        "hometown_ward": "Xã Mẫu 17", "id_confidence": 0.518, "name_confidence": 0.519, "dob_confidence": 0.520,
        "hometown_confidence": 0.521, "address_confidence": 0.522, "id_box": [23, 24, 323, 324],
        "name_box": [24, 25, 324, 325], "dob_box": [25, 26, 325, 326], "hometown_box": [26, 27, 326, 327],
        "address_box": [27, 28, 327, 328], "image": "/yBhbGlnbmVkIDI4",
    },
    "12_id_card_front": {
        "id": "000000000029", "name": "TRẦN THỊ MẪU", "dob": "04-08-1981", "hometown": "Quê Mẫu 32",
        "gender": "nam", "due_date": "07-11-2054", "nationality": "Quốc tịch 35", "ethnicity": "Dân tộc 36",
        "address": "Số 37 Đường Thử", "address_town_code": "38", "address_district_code": "39",
        "address_ward_code": "40", "hometown_town_code": "41", "hometown_district_code": "42",
        "hometown_ward_code": "43", "address_town": "Tỉnh Mẫu 44", "address_district": "Huyện Mẫu 45",
        "address_ward": "Xã Mẫu 46", "hometown_town": "Tỉnh Mẫu 47", "hometown_district": "Huyện Mẫu 48",
        "hometown_ward": "Xã Mẫu 49", "image": "/yBhbGlnbmVkIDUw", "id_confidence": 0.551,
        "name_confidence": 0.552, "dob_confidence": 0.553, "hometown_confidence": 0.554,
        "gender_confidence": 0.555, "due_date_confidence": 0.556, "nationality_confidence": 0.557,
        "ethnicity_confidence": 0.558, "address_confidence": 0.559, "id_box": [60, 61, 360, 361],
        "name_box": [61, 62, 361, 362], "dob_box": [62, 63, 362, 363], "hometown_box": [63, 64, 363, 364],
        "gender_box": [64, 65, 364, 365], "due_date_box": [65, 66, 365, 366],
        "nationality_box": [66, 67, 366, 367], "ethnicity_box": [67, 68, 367, 368],
        "address_box": [68, 69, 368, 369],
    },
    "chip_id_card_front": {
        "id": "000000000069", "name": "NGUYỄN VĂN MẪU", "dob": "16-12-1981", "hometown": "Quê Mẫu 72",
        "gender": "nữ", "due_date": "19-03-2054", "nationality": "Quốc tịch 75", "address": "Số 76 Đường Thử",
        "address_town_code": "77", "address_district_code": "78", "address_ward_code": "79",
        "hometown_town_code": "80", "hometown_district_code": "81", "hometown_ward_code": "82",
        "address_town": "Tỉnh Mẫu 83", "address_district": "Huyện Mẫu 84", "address_ward": "Xã Mẫu 85",
        "hometown_town": "Tỉnh Mẫu 86", "hometown_district": "Huyện Mẫu 87", "hometown_ward": "Xã Mẫu 88",
        "id_confidence": 0.589, "name_confidence": 0.590, "dob_confidence": 0.591, "hometown_confidence": 0.592,
        "gender_confidence": 0.593, "due_date_confidence": 0.594, "nationality_confidence": 0.595,
        "address_confidence": 0.596, "id_box": [97, 98, 397, 398], "name_box": [98, 99, 398, 399],
        "dob_box": [99, 100, 399, 400], "hometown_box": [100, 101, 400, 401],
        "gender_box": [101, 102, 401, 402], "due_date_box": [102, 103, 402, 403],
        "nationality_box": [103, 104, 403, 404], "address_box": [104, 105, 404, 405],
        "image": "/yBhbGlnbmVkIDEwNQ==",
    },
    "9_id_card_back": {
        "ethnicity": "Dân tộc 106", "issue_date": "24-12-2017", "religious": "Tôn giáo 108",
        "issued_at": "CỤC MẪU 109", "issued_at_town": "Tỉnh Cấp 110", "issued_at_code": "111",
        "identification_sign": "Nốt ruồi C. 112cm", "image": "/yBhbGlnbmVkIDExMw==",
        "issue_date_confidence": 0.614, "issued_at_confidence": 0.615, "religious_confidence": 0.616,
        "ethnicity_confidence": 0.617, "identification_sign_confidence": 0.618,
        "issue_date_box": [119, 120, 419, 420], "issued_at_box": [120, 121, 420, 421],
        "religious_box": [121, 122, 421, 422], "ethnicity_box": [122, 123, 422, 423],
    },
    "12_id_card_back": {
        "issue_date": "12-04-1993", "issued_at": "CỤC MẪU 124", "identification_sign": "Nốt ruồi C. 125cm",
        "image": "/yBhbGlnbmVkIDEyNg==", "issue_date_confidence": 0.627, "issued_at_confidence": 0.628,
        "identification_sign_confidence": 0.629, "issue_date_box": [130, 131, 430, 431],
        "issued_at_box": [131, 132, 431, 432], "identification_sign_box": [132, 133, 432, 433],
    },
    "chip_id_card_back": {
        "issue_date": "22-02-2003", "issued_at": "CỤC MẪU 134", "country": "XA135",
        "document_number": "900000136", "person_number": "079300000137", "dob": "27-07-1968", "gender": "Nữ",
        "due_date": "01-09-2040", "nationality": "Quốc tịch 141", "sur_name": "ĐỖ 142",
        "given_name": "MINH MẪU 143", "identification_sign": "Nốt ruồi C. 144cm",
        "identification_sign_confidence": 0.645, "issue_date_confidence": 0.646,
        "issue_date_box": [147, 148, 447, 448], "identification_sign_box": [148, 149, 448, 449],
        "mrz_confidence": 0.649, "image": "/yBhbGlnbmVkIDE1MA==",
    },
    "driving_license": {
        "id": "000000000151", "name": "PHẠM THỊ THỬ", "dob": "14-10-1983", "class": "B154",
        "nationality": "Quốc tịch 155", "issue_date": "17-01-2026", "due_date": "18-02-2057",
        "address": "Số 158 Đường Thử", "address_town": "Tỉnh Mẫu 159", "address_district": "Huyện Mẫu 160",
        "address_ward": "Xã Mẫu 161", "address_town_code": "162", "address_district_code": "163",
        "address_ward_code": "164", "id_confidence": 0.665, "name_confidence": 0.666, "dob_confidence": 0.667,
        "class_confidence": 0.668, "nationality_confidence": 0.669, "issue_date_confidence": 0.670,
        "due_date_confidence": 0.671, "address_confidence": 0.672, "id_box": [173, 174, 473, 474],
        "name_box": [174, 175, 474, 475], "dob_box": [175, 176, 475, 476], "class_box": [176, 177, 476, 477],
        "nationality_box": [177, 178, 477, 478], "issue_date_box": [178, 179, 478, 479],
        "due_date_box": [179, 180, 479, 480], "address_box": [180, 181, 480, 481],
        "image": "/yBhbGlnbmVkIDE4MQ==",
    },
    "passport": {
        "id": "B0000182", "id_confidence": 0.683, "id_box": [184, 185, 484, 485], "sur_name": "ĐỖ 185",
        "given_name": "MINH MẪU 186", "full_name": "ĐỖ MINH MẪU", "full_name_confidence": 0.688,
        "full_name_box": [189, 190, 489, 490], "dob": "23-11-1980", "dob_confidence": 0.691,
        "dob_box": [192, 193, 492, 493], "gender": "M", "gender_confidence": 0.694,
        "gender_box": [195, 196, 495, 496], "country": "XA196", "nationality": "Quốc tịch 197",
        "nationality_confidence": 0.698, "nationality_box": [199, 200, 499, 500], "due_date": "05-09-2020",
        "due_date_confidence": 0.701, "due_date_box": [202, 203, 502, 503], "person_number": "079300000203",
        "person_number_confidence": 0.704, "person_number_box": [205, 206, 505, 506],
        "issue_date": "11-03-1996", "issue_date_confidence": 0.707, "issue_date_box": [208, 209, 508, 509],
        "issued_at": "CỤC MẪU 209", "issued_at_confidence": 0.710, "issued_at_box": [211, 212, 511, 512],
        "place_of_birth": "Nơi Sinh 212", "place_of_birth_confidence": 0.713,
        "place_of_birth_box": [214, 215, 514, 515], "image": "/yBhbGlnbmVkIDIxNQ==", "confidence": 0.716,
    },
    "military_id_card_front": {
        "id": "000000000217", "id_box": [218, 219, 518, 519], "id_confidence": 0.719, "name": "VŨ VĂN THỬ",
        "name_box": [221, 222, 521, 522], "name_confidence": 0.722, "dob": "28-08-1973",
        "dob_box": [224, 225, 524, 525], "dob_confidence": 0.725, "unit": "Đơn vị 226",
        "unit_box": [227, 228, 527, 528], "unit_confidence": 0.728, "issue_date": "06-02-2019",
        "issue_date_box": [230, 231, 530, 531], "issue_date_confidence": 0.731, "due_date": "09-05-2052",
        "due_date_box": [233, 234, 533, 534], "due_date_confidence": 0.734, "image": "/yBhbGlnbmVkIDIzNQ==",
    },
    "military_id_card_back": {
        "dob": "13-09-1986", "dob_box": [237, 238, 537, 538], "dob_confidence": 0.738,
        "hometown": "Quê Mẫu 239", "hometown_box": [240, 241, 540, 541], "hometown_confidence": 0.741,
        "address": "Số 242 Đường Thử", "address_box": [243, 244, 543, 544], "address_confidence": 0.744,
        "identification_sign": "Nốt ruồi C. 245cm", "identification_sign_box": [246, 247, 546, 547],
        "identification_sign_confidence": 0.747, "blood_type": "Nhóm 248",
        "blood_type_box": [249, 250, 549, 550], "blood_type_confidence": 0.750, "image": "/yBhbGlnbmVkIDI1MQ==",
    },
    "officer_id_card_front": {
        "id": "000000000252", "id_box": [253, 254, 553, 554], "id_confidence": 0.754, "name": "HOÀNG VĂN THỬ",
        "name_box": [256, 257, 556, 557], "name_confidence": 0.757, "rank": "Cấp bậc 258",
        "rank_box": [259, 260, 559, 560], "rank_confidence": 0.760, "unit": "Đơn vị 261",
        "unit_box": [262, 263, 562, 563], "unit_confidence": 0.763, "issue_date": "13-01-2014",
        "issue_date_box": [265, 266, 565, 566], "issue_date_confidence": 0.766, "due_date": "16-04-2047",
        "due_date_box": [268, 269, 568, 569], "due_date_confidence": 0.769, "image": "/yBhbGlnbmVkIDI3MA==",
    },
    "officer_id_card_back": {
        "dob": "20-08-1981", "dob_box": [272, 273, 572, 573], "dob_confidence": 0.773,
        "hometown": "Quê Mẫu 274", "hometown_box": [275, 276, 575, 576], "hometown_confidence": 0.776,
        "address": "Số 277 Đường Thử", "address_box": [278, 279, 578, 579], "address_confidence": 0.779,
        "identification_sign": "Nốt ruồi C. 280cm", "identification_sign_box": [281, 282, 581, 582],
        "identification_sign_confidence": 0.782, "blood_type": "Nhóm 283",
        "blood_type_box": [284, 285, 584, 585], "blood_type_confidence": 0.785, "image": "/yBhbGlnbmVkIDI4Ng==",
    },
}
# fmt: on

SIDES = ("left", "top", "right", "bottom")
DATES = ("dob", "issue_date", "due_date")


def columns_of(info: Mapping[str, object]) -> dict[str, object]:
    """What the fields of a canned response must be in the tables, by column."""
    columns: dict[str, object] = {}
    for name, value in info.items():
        columns |= _columns(name, value)
    return columns


def _columns(name: str, value: object) -> dict[str, object]:
    if isinstance(value, list):
        return {name: dict(zip(SIDES, value, strict=True))}
    if isinstance(value, float):
        return {name: float(np.float32(value))}
    assert isinstance(value, str)
    if name == "image":
        return {name: base64.b64decode(value)}
    if name in DATES:
        day, month, year = map(int, value.split("-"))
        return {name: date(year, month, day), f"{name}_text": value}
    return {name: value}
