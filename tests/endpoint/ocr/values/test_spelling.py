"""Slips of reading are mended only where a field's words come from a closed list; an address keeps its own words."""

from __future__ import annotations

import pytest

from endpoint.ocr.values.spelling import corrected


@pytest.mark.parametrize(
    ("field", "read", "expected"),
    [
        ("name", "NGUYÊN THU MAI", "NGUYỄN THU MAI"),
        ("name", "TRẤN MỸ PHƯỢNG", "TRẦN MỸ PHƯỢNG"),
        ("name", "HÀ THU HÃNG", "HÀ THU HÃNG"),
        ("full_name", "NGUYÊN AN", "NGUYỄN AN"),
        ("ethnicity", "Tây", "Tày"),
        ("ethnicity", "Kinh", "Kinh"),
        ("religious", "Phât giáo", "Phật giáo"),
        (
            "identification_sign",
            "Seo chấm cách 1,5em trên đầu lông mày trái",
            "Sẹo chấm cách 1,5cm trên đầu lông mày trái",
        ),
        ("issued_at", "GỤC CẢNH SÁT ĐKQL CƯ TRÚ VÀ DLQG VỀ DÂNGƯ", "CỤC CẢNH SÁT ĐKQL CƯ TRÚ VÀ DLQG VỀ DÂN CƯ"),
        (
            "identification_sign",
            "Nốt ruồi cách 0, 5Cm trước cánh mũi phải",
            "Nốt ruồi cách 0,5cm trước cánh mũi phải",
        ),
        (
            "identification_sign",
            "Nốt môi cách 2cm dưới trước đuôi mắt tai",
            "Nốt ruồi cách 2cm dưới trước đuôi mắt trái",
        ),
        ("identification_sign", "Nốt ruồi cách 1cm sau tai trái", "Nốt ruồi cách 1cm sau tai trái"),
        ("nationality", "Việt", "Việt Nam"),
        ("nationality", "VIÊT NAM", "VIỆT NAM"),
        ("nationality", "VNM", "VNM"),
        ("issued_at", "GA TỈNH BẮC KẠN", "CA TỈNH BẮC KẠN"),
        ("issued_at", "CA TÍNH HÀ TĨNH", "CA TỈNH HÀ TĨNH"),
        ("address", "Tổ 5, Xã Chư Mố, la Pa, Gia Lai", "Tổ 5, Xã Chư Mố, Ia Pa, Gia Lai"),
        ("address", "Phường Hồ, Thuận Thành, Bắc Ninh", "Phường Hồ, Thuận Thành, Bắc Ninh"),
        ("unit", "Quân khu g", "Quân khu g"),
    ],
)
def test_a_slip_is_mended(field: str, read: str, expected: str) -> None:
    assert corrected(field, read) == expected
