from __future__ import annotations

import pytest

from swarmrun.core.quality import ReportError, missing_tests, parse_junit, parse_lcov

#: As jest-junit, vitest, pytest and node:test name a file.
FLAVOURS = [
    "<testsuite name='s' file='/srv/x/tests/users.test.ts'><testcase name='n'/></testsuite>",
    "<testsuites><testsuite name='tests/users.test.ts'><testcase name='n'/></testsuite></testsuites>",
    "<testsuite><testcase classname='tests/users.test.ts' name='users > creates'/></testsuite>",
    "<testsuite><testcase classname='tests.users.test' name='test_x'/></testsuite>",
    "<testsuite><testcase classname='tests.users.test.TestUsers' name='test_x'/></testsuite>",
    "<testsuites><testcase name='n' file='./tests/users.test.ts'/></testsuites>",
    "<testsuites><testcase name='n' file='tests\\users.test.ts'/></testsuites>",
]


@pytest.mark.parametrize("xml", FLAVOURS)
def test_a_test_file_is_recognised_in_every_common_report(xml: str) -> None:
    report = parse_junit(xml.encode())
    assert missing_tests(["tests/users.test.ts"], report) == []
    others = ["rests/users.test.ts", "tests/orders.test.ts"]
    assert missing_tests(others, report) == others


def test_cases_are_counted_rather_than_believing_the_sums() -> None:
    report = parse_junit(
        b"<testsuite tests='99' failures='0'><testcase name='a'/><testcase name='b'><error/></testcase>"
        b"<testcase name='c'><failure message='m'>t</failure></testcase>"
        b"<testcase name='d'><skipped/></testcase></testsuite>"
    )
    assert (report.passing, report.failing, report.skipped, report.total) == (1, 2, 1, 3)
    assert [(f.name, f.text) for f in report.failures] == [("b", ""), ("c", "m\nt")]


def test_a_file_whose_tests_were_all_skipped_was_not_tested() -> None:
    report = parse_junit(b"<testsuite name='tests/a.py'><testcase name='a'><skipped/></testcase></testsuite>")
    assert missing_tests(["tests/a.py"], report) == ["tests/a.py"]


@pytest.mark.parametrize(
    "data", [b"", b"<a>", b"\xff", b"<!DOCTYPE a [<!ENTITY b 'c'>]><testsuites>&b;</testsuites>"]
)
def test_what_is_no_plain_xml_is_an_error(data: bytes) -> None:
    with pytest.raises(ReportError, match="must be plain XML"):
        parse_junit(data)


def test_a_line_counts_once_however_often_its_file_is_listed() -> None:
    record = "TN:\nSF:a.ts\nDA:1,0\nDA:2,{hits}\nend_of_record\n"
    assert parse_lcov(record.format(hits=0) + record.format(hits=4) + "SF:b.ts\nDA:1,1,checksum\n") == 66.67
    assert parse_lcov("") == 0.0
    assert parse_lcov("nonsense\nDA:x\n") == 0.0
