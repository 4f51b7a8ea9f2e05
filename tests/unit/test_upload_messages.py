"""The bodies of uploads that `joiner job upload` makes of a longer one."""

import pytest

from joiner.provisioning.inbound.messages import (
    MOST_BYTES,
    MOST_OPERATIONS,
    Operation,
    UploadError,
    parse_upload,
    written_uploads,
)


def people(*lengths: int) -> list[Operation]:
    return [Operation(f"b{number}", {"title": "x" * length}) for number, length in enumerate(lengths)]


@pytest.mark.parametrize(
    ("lengths", "numbers"),
    [
        ([], []),
        ([1] * 50, [50]),
        ([1] * 101, [50, 50, 1]),
        ([MOST_BYTES // 2 - 200, MOST_BYTES // 2 - 200, 1], [3]),
        ([MOST_BYTES // 2, MOST_BYTES // 2, 1], [1, 2]),
        ([1, MOST_BYTES - 200, 1], [1, 1, 1]),
    ],
)
def test_pieces_are_as_few_as_fit_and_hold_everything_in_order(lengths: list[int], numbers: list[int]) -> None:
    operations = people(*lengths)
    pieces = list(written_uploads(operations))
    assert [number for number, _ in pieces] == numbers
    assert all(number <= MOST_OPERATIONS and len(content) <= MOST_BYTES for number, content in pieces)
    assert [each for _, content in pieces for each in parse_upload(content)] == operations


def test_whoever_fits_into_no_piece_is_named() -> None:
    with pytest.raises(UploadError, match=r"Operations\[2\]: is too long"):
        list(written_uploads(people(1, 1, MOST_BYTES)))
