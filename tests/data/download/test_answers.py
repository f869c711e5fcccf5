"""What answers mean: waits, versions, ranges."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.message import Message
from email.utils import format_datetime

import pytest

from magnostic.data.download.answers import Body, Version, body
from magnostic.data.download.patience import Again
from magnostic.errors import FetchError

URL = "http://host/file"


def head(**headers: str) -> Message:
    made = Message()
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    return made


def test_a_whole_file() -> None:
    found = body(URL, 200, head(ETag='"a"', Last_Modified="then"), 10, 0, Version())
    assert found == Body(0, 10, Version(10, '"a"', "then"))


def test_a_range_keeps_what_is_known_of_the_file() -> None:
    known = Version(10, '"a"', None)
    found = body(URL, 206, head(Content_Range="bytes 4-9/10", ETag='"a"'), 6, 4, known)
    assert found == Body(4, 6, known)


@pytest.mark.parametrize(
    "told",
    [
        "",
        "bytes 4-9",
        "bytes 3-9/10",
        "bytes 4-3/10",
        "bytes 4-10/10",
        "bytes 4-9/11",
        "octets 4-9/10",
        "bytes 4-8/10",
        "bytes -4-9/10",
    ],
)
def test_a_range_that_does_not_fit_goes_back_to_the_beginning(told: str) -> None:
    with pytest.raises(Again) as caught:
        body(URL, 206, head(Content_Range=told), 6, 4, Version(10))
    assert caught.value.anew


def test_nothing_is_left_to_fetch() -> None:
    assert body(URL, 416, head(Content_Range="bytes */4"), 0, 4, Version()) is None
    with pytest.raises(Again):
        body(URL, 416, head(Content_Range="bytes */5"), 0, 4, Version())


def test_retry_after_in_seconds_as_a_date_and_as_nonsense() -> None:
    def wait(told: str) -> float | None:
        with pytest.raises(Again) as caught:
            body(URL, 503, head(Retry_After=told), 0, 0, Version())
        return caught.value.wait

    assert wait("120") == 120
    assert wait(format_datetime(datetime.now(UTC) + timedelta(hours=1))) == pytest.approx(3600, 0.1)
    assert wait("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert wait("soon") is None
    assert wait("9" * 40) == 999_999_999


def test_what_will_not_pass_is_an_error() -> None:
    for status in (204, 300, 304, 400, 401, 403, 404, 410, 451):
        with pytest.raises(FetchError, match=str(status)):
            body(URL, status, head(), 0, 0, Version())


def test_a_weak_tag_is_no_condition_for_a_range() -> None:
    assert Version(etag='W/"a"', modified="then").condition == "then"
    assert Version(etag='"a"', modified="then").condition == '"a"'
    assert Version(etag='W/"a"').condition is None
