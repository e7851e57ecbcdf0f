import numpy as np
import pytest

from keras_vae.data.number_text import NumberFormat, number_format, parse_numbers

NAN = float("nan")


@pytest.mark.parametrize(
    ("cells", "decimal", "expected"),
    [
        (["1.5", " 2 ", "+3", "1e3", ""], None, [1.5, 2, 3, 1000, NAN]),
        (["NA", "None", "nan", "N/A", "7"], None, [NAN, NAN, NAN, NAN, 7]),
        (["12,5", "1,234"], None, [12.5, 1.234]),
        (["0,123", "1,234"], None, [0.123, 1.234]),
        (["1,234", "2,500"], ".", [1234, 2500]),
        (["1,234", "2,500"], ",", [1.234, 2.5]),
        (["1,234", "999"], None, [1234, 999]),
        (["1,234,567", "1,234"], None, [1234567, 1234]),
        (["1.234.567,89", "5,00"], None, [1234567.89, 5]),
        (["1.234"], ",", [1234]),
        (["1.234", "12.345"], None, [1.234, 12.345]),
        (["1 234,5", "2\u202f000,0"], None, [1234.5, 2000]),
        (["1'234.50"], None, [1234.5]),
        (["$1,500.00", "-$20.00", "($3.10)", "$-1.00"], None, [1500, -20, -3.1, -1]),
        (["5,50 €", "1.234,00 €"], None, [5.5, 1234]),
        (["12.3%", "-5 %"], None, [12.3, -5]),
        (["inf", "-inf"], None, [np.inf, -np.inf]),
        (["\u22125", "6"], None, [-5, 6]),
    ],
)
def test_numbers_are_parsed_as_they_are_spelled(cells, decimal, expected):
    values, problem = parse_numbers(cells, decimal)
    assert problem is None
    np.testing.assert_array_equal(values, expected)


@pytest.mark.parametrize(
    ("cells", "position", "reason"),
    [
        (["1,234", "2,500"], 0, "may be 1234 or 1.234"),
        (["999", "1.234"], 1, "may be 1.234 or 1234"),
        (["1.5", "2,5"], 0, "another decimal mark"),
        (["1", "2", "ERR", "4"], 2, "is no number"),
        (["1", "1_000"], 1, "is no number"),
        (["1", "2024-01-01"], 1, "is no number"),
        (["$5", "$6", "€7"], 2, "another unit"),
        (["5%", "6%", "0.07"], 2, "another unit"),
        (["192.168.0.1", "10.0.0.1"], 0, "is no number"),
    ],
)
def test_what_is_no_number_or_two_is_named(cells, position, reason):
    values, problem = parse_numbers(cells)
    assert problem.positions[0] == position
    assert problem.value == cells[position]
    assert reason in problem.reason
    assert np.isnan(values[position])


@pytest.mark.parametrize(
    ("cells", "values", "expected"),
    [
        (["66255.43", "51081.30"], [49998.8359375, -3], ["49998.84", "-3.00"]),
        (["5", "28"], [5.5, -0.2, NAN], ["6", "0", ""]),
        (["0.5", "28.25", "1.0"], [5.5, 3, 1 / 3], ["5.5", "3.0", "0.33"]),
        (["66255,43"], [1.005e3], ["1005,00"]),
        (["$1,500.00", "-$20.00"], [49998.8, -5], ["$49,998.80", "-$5.00"]),
        (["($3.10)", "$1.00"], [-2], ["($2.00)"]),
        (["1.234,50 €"], [1e6], ["1.000.000,00 €"]),
        (["12.3%", "5.0%"], [7.77], ["7.8%"]),
        (["007", "012"], [5.2], ["005"]),
        (["+5", "+6"], [7], ["+7"]),
        (["1.6e-200", "2.0e-200"], [1e-200], ["1.0e-200"]),
        (["0.09016346799204471", "1.0870144210122463"], [2.5], ["2.5"]),
    ],
)
def test_other_numbers_are_spelled_alike(cells, values, expected):
    form = number_format(cells)
    assert form.format(values) == expected
    parsed = form.parse(form.format(values))
    np.testing.assert_allclose(parsed, parse_numbers(expected, form.decimal)[0])


def test_format_is_made_of_json_values():
    form = NumberFormat(decimals=0)
    assert form.parse(["12", "x"])[0] == 12
    assert all(isinstance(v, (int, str, bool, type(None))) for v in vars(form).values())
