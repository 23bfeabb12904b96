"""Texts out of CSV and JSONL: every bad line by its number, every bad text by its row."""

import json

import pytest

from models.raw.limits import RawLimits
from models.raw.problem import ItemProblem
from models.raw.text import decode_text

ROWS = [(f"text {i}", "ab"[i % 2]) for i in range(20)]


def csv_of(rows):
    return "text,label\n" + "".join(f"{text},{label}\n" for text, label in rows)


def jsonl_of(rows, **more):
    return "".join(json.dumps({"text": text, "label": label} | more) + "\n" for text, label in rows)


@pytest.fixture
def read(saved, ingest, opened):
    def run(name, content, **options):
        manifest = ingest(saved(name, content), modality="text", **options)
        return manifest, opened(manifest)

    return run


@pytest.fixture
def refused(saved, refusal):
    def run(name, content, **options):
        return refusal(saved(name, content), modality="text", **options)

    return run


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", csv_of(ROWS)), ("a.jsonl", jsonl_of(ROWS))]
)
def test_texts_come_back_in_their_order(name, content, read, ids):
    manifest, dataset = read(name, content)
    assert [decode_text(dataset.item(row)) for row in range(20)] == [text for text, _ in ROWS]
    assert dataset.y.tolist() == [0, 1] * 10
    assert manifest["stats"]["lengths"] == {"min": 6, "median": 6, "max": 7}
    assert ids()[:2] == ["0", "1"]


def test_quoted_fields_hold_commas_quotes_and_lines(read):
    odd = 'he said ""no, never"",\nand left'
    _, dataset = read("a.csv", csv_of([*ROWS, (f'"{odd}"', "a")]))
    assert dataset.item(20).decode() == odd.replace('""', '"')


def test_windows_line_ends_and_a_byte_order_mark(read):
    _, dataset = read("a.csv", b"\xef\xbb\xbf" + csv_of(ROWS).replace("\n", "\r\n").encode())
    assert dataset.item(3).decode() == "text 3"


def test_columns_of_jsonl(read):
    manifest, dataset = read(
        "a.jsonl", jsonl_of(ROWS, lang="de", who=7), subdomain="lang", group="who"
    )
    assert manifest["subdomains"] == ["de"]
    assert dataset.group.tolist() == [0] * 20


def test_integers_of_csv_are_classes_in_their_order(read):
    manifest, _ = read("a.csv", csv_of([(text, 9 + i % 2) for i, (text, _) in enumerate(ROWS)]))
    assert manifest["classes"] == ["9", "10"]


def test_texts_without_a_label(read, refused):
    content = csv_of([*ROWS, ("new", "")])
    problem = refused("a.csv", content)
    assert problem.code == "label_missing"
    assert "row 20 " in problem.detail
    assert read("a.csv", content, unlabelled=True)[0]["unlabelled"] == 1


@pytest.mark.parametrize(("line", "why"), [
    ('a "stray" quote,a', "a quote"), ('"never closed,a', "a quote"), ('"closed" twice,a', "a quote"),
    ("too,many,fields", "3 fields"), ("too few", "1 fields"), ("\xff\xfe,a", "UTF-8"),
])  # fmt: skip
@pytest.mark.parametrize("place", [0, 12, 20])
def test_a_bad_line_of_csv_is_told_by_its_number(line, why, place, refused):
    lines = csv_of(ROWS).splitlines()
    lines.insert(1 + place, line)
    problem = refused("a.csv", "\n".join(lines).encode("latin-1"))
    assert problem.code == "bad_csv"
    assert f"'a.csv', line {place + 2}: " in problem.detail
    assert why in problem.detail


def test_a_quote_that_swallows_the_rest_is_told_where_it_opens(refused):
    many = csv_of(ROWS * 2000).splitlines()
    many.insert(7, '"open,a')
    assert ", line 8: a quote" in refused("a.csv", "\n".join(many)).detail


@pytest.mark.parametrize("header", ["text,text", "text,", '"text,label'])
def test_a_bad_header(header, refused):
    assert refused("a.csv", f"{header}\nx,a\n").code == "bad_csv"


def test_another_separator_shows_what_was_found(refused):
    problem = refused("a.csv", csv_of(ROWS).replace(",", ";"))
    assert problem.code == "column_missing"
    assert "found 'text;label'" in problem.detail


@pytest.mark.parametrize("line", [
    "{", "[1]", '"x"', '{"text": NaN}', '{"text": ' + "[" * 50_000, '{"label": ' + "9" * 5000 + "}", b"\xff",
])  # fmt: skip
def test_a_bad_line_of_jsonl_is_told_by_its_number(line, refused):
    good = jsonl_of(ROWS).encode()
    problem = refused("a.jsonl", good + (line if isinstance(line, bytes) else line.encode()))
    assert problem.code == "bad_jsonl"
    assert "'a.jsonl', line 21: " in problem.detail


def test_blank_lines_of_jsonl_count_as_lines_and_not_as_rows(read):
    assert read("a.jsonl", jsonl_of(ROWS).replace("\n", "\n\n"))[0]["rows"] == 20


@pytest.mark.parametrize(("value", "code"), [
    ("", "text_empty"), (" \n\t", "text_empty"), ("x" * 100_001, "text_too_long"), ("a\0b", "bad_text"),
    ("\ud800", "bad_text"), (None, "item_missing"), (7, "bad_text"), ({"a": 1}, "bad_text"),
])  # fmt: skip
def test_a_bad_text_is_named_and_the_rest_goes_on(value, code, read):
    manifest, dataset = read("a.jsonl", jsonl_of([*ROWS[:4], (value, "a"), *ROWS[4:]]))
    assert len(dataset) == 20
    (entry,) = manifest["stats"]["rejected_items"]
    assert (entry["name"], entry["code"]) == ("row 4 of 'a.jsonl'", code)


@pytest.mark.parametrize("label", [1.5, [1], {"a": 1}])
def test_a_label_of_another_type(label, refused):
    assert refused("a.jsonl", jsonl_of([*ROWS, ("x", label)])).code == "label_type"


def test_a_line_without_end(refused):
    problem = refused("a.jsonl", '{"text": "' + "x" * 9000, limits=RawLimits(max_characters=1000))
    assert "line 1: it has more than 8,000 bytes" in problem.detail


def test_rows_are_bounded_and_needed(refused):
    assert refused("a.csv", csv_of(ROWS), limits=RawLimits(max_rows=19)).code == "too_many_rows"
    assert refused("b.csv", "text,label\n").code == "no_rows"


def test_bytes_that_are_no_text():
    with pytest.raises(ItemProblem) as caught:
        decode_text(b"\xff")
    assert caught.value.code == "bad_text"
