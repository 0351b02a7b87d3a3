"""Which names a new function may have."""

from __future__ import annotations

import pytest
import yaml

from service.errors import UsageError
from service.projects.naming import check_function_name, in_yaml, of_image


@pytest.mark.parametrize("name", ["f", "my-function", "Orders_2", "a" * 64])
def test_letters_digits_and_dashes_are_taken(name: str) -> None:
    """As the platform takes them."""
    assert check_function_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "2nd", "-f", "_f", "f-", "f_", "a b", "a.b", "größe", "a" * 65, "f\n", "函数", "a/b"],
)
def test_what_the_platform_or_python_does_not_take_is_refused(name: str) -> None:
    """The message says what there may be."""
    with pytest.raises(UsageError, match=r"is no function's name: it has 1 to 64 letters"):
        check_function_name(name)


@pytest.mark.parametrize("name", ["null", "True", "off", "n", "my-function"])
def test_a_word_of_yaml_stays_a_name(name: str) -> None:
    """A function may be called `off`."""
    assert yaml.safe_load(in_yaml(name)) == name


def test_an_image_has_a_name_that_docker_takes() -> None:
    """Small letters, and one dash in a row."""
    assert of_image("My__New-Function") == "my-new-function"
