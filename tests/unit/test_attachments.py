"""The files of a message are found in the attachments and in the HTML."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.files.shared import MOST_FILES, FileKind, SharedFile
from bridge.core.inbound.attachments import DOWNLOAD_TYPE, shared_files

ID, SECOND_ID = "1150D938-8870-4044-9F2C-5BBDEBA70C9D", "2250d938-8870-4044-9f2c-5bbdeba70c9d"
URL = "https://contoso.sharepoint.com/download.aspx?tempauth=eyJ0"


def download(name: str = "plan.pdf", url: object = URL) -> dict[str, Any]:
    return {"contentType": DOWNLOAD_TYPE, "name": name, "content": {"downloadUrl": url, "fileType": "pdf"}}


def attachment_tag(ident: str = ID) -> str:
    return f'<p>see</p><attachment id="{ident}"></attachment>'


WITHHELD = SharedFile("file", "", FileKind.WITHHELD)


def test_a_file_and_a_picture_come_with_name_and_address() -> None:
    picture = {"contentType": "image/*", "contentUrl": "https://smba.example/v3/attachments/x/views/original"}
    assert shared_files([download("../[a].pdf"), picture], "") == (
        SharedFile("_a_.pdf", URL, FileKind.DOWNLOAD, "pdf"),
        SharedFile("picture", "https://smba.example/v3/attachments/x/views/original", FileKind.PICTURE, "image/*"),
    )


def test_html_and_cards_are_no_files() -> None:
    html = {"contentType": "text/html", "content": attachment_tag()}
    card = {"contentType": "application/vnd.microsoft.card.adaptive", "content": {}}
    assert shared_files([html, card], "<p>see</p>") == ()


def test_a_file_only_named_in_the_text_is_withheld() -> None:
    assert shared_files([], attachment_tag()) == (WITHHELD,)
    assert shared_files([], attachment_tag() + attachment_tag(SECOND_ID)) == (WITHHELD, WITHHELD)
    assert shared_files([], attachment_tag() + attachment_tag(ID.lower())) == (WITHHELD,)


def test_a_downloadable_file_is_not_counted_as_withheld_too() -> None:
    assert [file.kind for file in shared_files([download()], attachment_tag())] == [FileKind.DOWNLOAD]


def test_attachment_tags_without_a_guid_are_no_files() -> None:
    assert shared_files([], attachment_tag("1789001412591") + attachment_tag("74d20c7f34aa4a7fb74e2b30004247c5")) == ()


@pytest.mark.parametrize("url", [None, 7, "", "x" * 9000])
def test_a_file_without_a_usable_link_is_withheld(url: object) -> None:
    assert [file.kind for file in shared_files([download(url=url)], "")] == [FileKind.WITHHELD]


def test_files_beyond_ten_are_named_as_surplus() -> None:
    files = shared_files([download(f"{n}.txt") for n in range(12)], "")

    assert [file.kind for file in files] == [FileKind.DOWNLOAD] * MOST_FILES + [FileKind.SURPLUS] * 2
    assert [(file.name, file.url) for file in files[MOST_FILES:]] == [("10.txt", ""), ("11.txt", "")]


def test_of_very_many_files_a_last_entry_counts_the_rest() -> None:
    files = shared_files([download()] * 3_000, attachment_tag())

    assert len(files) == 2 * MOST_FILES + 1
    assert files[-1] == SharedFile("… +2980", "", FileKind.SURPLUS)


@pytest.mark.parametrize(
    "attachments",
    [None, 7, "x", {}, [None, 7, "x", [], {}], [{"contentType": 7}], [{"contentType": DOWNLOAD_TYPE, "content": 7}]],
)
def test_attachments_of_any_json_are_read_without_an_error(attachments: object) -> None:
    assert all(file.kind is FileKind.WITHHELD for file in shared_files(attachments, ""))
