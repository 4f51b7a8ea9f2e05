"""The application gallery."""

import pytest

from joiner.directory.gallery import NON_GALLERY_ID, find_template, gallery, template_id_of
from joiner.errors import NotFoundError


@pytest.mark.parametrize(
    "name", ["ALVAO", "alvao", " Alvao ", template_id_of("alvao"), template_id_of("alvao").upper()]
)
def test_an_application_is_found_by_name_key_or_id_in_any_case(name: str) -> None:
    assert find_template(name).display_name == "ALVAO"


def test_an_application_that_is_not_in_the_gallery_has_the_id_that_clients_know() -> None:
    assert find_template("custom").id == NON_GALLERY_ID == "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(NotFoundError, match=r"no application 'Alvoa'; it has .*ALVAO.*Custom"):
        find_template("Alvoa")


def test_ids_never_change_between_installations() -> None:
    assert template_id_of("alvao") == "0aa40687-9b6f-583d-aafe-1a11b24d7216"
    assert len(gallery()) == len({template.display_name.casefold() for template in gallery().values()})
