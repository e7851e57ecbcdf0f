"""Dates in text: formats found and spelled again."""

import numpy as np
import pytest

from keras_vae.data.date_text import find_date_format

SPELLINGS = [
    ["2020-07-13", "2021-01-23"],
    ["2020/07/13", "2021/01/23"],
    ["2020-07-13T10:11:12.123Z", "2021-01-23T00:00:00.500Z"],
    ["2020-07-13 10:11:12+01:00", "2021-01-23 00:00:00+01:00"],
    ["2020-07-13 10:11", "2020-07-13 09:01"],
    ["2020-01-02 03:04:05,123", "2020-01-02 03:04:05,000"],
    ["13.07.2020", "01.02.2021"],
    ["3.7.2020", "1.12.2021"],
    ["1/5/2024", "12/31/2023"],
    ["31/12/2023", "01/02/2023"],
    ["20240131", "20231201"],
    ["5 Jan 2020", "15 Feb 2021"],
    ["January 5, 2020", "February 15, 2021"],
    ["01/31/2023 01:05 PM", "01/02/2023 11:05 AM"],
]


@pytest.mark.parametrize("cells", SPELLINGS, ids=lambda cells: cells[0])
def test_dates_are_spelled_as_they_were(cells):
    form, _ = find_date_format(cells)
    assert [form.spell(value) for value in form.parse(cells)] == cells


@pytest.mark.parametrize(
    "cells", [["12345678", "99999999"], ["a1", "b2"], ["1", "2"], ["2020-01-01", "soon"], []]
)
def test_other_text_is_no_date(cells):
    assert find_date_format(cells) is None


def test_seconds_are_those_of_utc_and_round_to_the_format():
    form, _ = find_date_format(["1970-01-01T01:00:00+01:00"])
    assert form.parse(["1970-01-01T02:00:00+01:00", "never"]).tolist()[0] == 3600
    assert np.isnan(form.parse(["never"])[0])
    form, either = find_date_format(["01/02/2023", "03/04/2023"])
    assert either
    assert form.spell(form.parse(["01/02/2023"])[0] + 40_000) == "01/02/2023"
