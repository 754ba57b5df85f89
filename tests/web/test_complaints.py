from __future__ import annotations

from typing import Any

import msgspec
import pytest

from limpet.profiles import Profile
from limpet.web.complaints import in_words


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"width": 0}, "width has to be a number above 0, not 0"),
        ({"width": 1e6}, "width has to be a number of at most 100000, not 1000000"),
        ({"extruders": 1.5}, "extruders has to be a whole number, not 1.5"),
        ({"x_speed": None}, "x speed has to be a whole number, not nothing"),
        ({"x_min": "left"}, "x min has to be a number or nothing, not a text"),
        ({"heated_bed": "yes"}, "heated bed has to be true or false, not a text"),
        ({"model": "x" * 65}, "model has to be a text of at most 64 characters"),
        ({"form_factor": "round"}, "form factor cannot be 'round'"),
        ({"extruder_offsets": [[0, 1e9]]}, "extruder offsets has to be a number of at most 100000, not 1000000000"),
        ({"extruder_offsets": [[0, 0]] * 33}, "extruder offsets has to be a list of at most 32 items"),
        ({"extruder_offsets": [[0]]}, "extruder offsets: Expected array of length 2, got 1"),
    ],
)
def test_what_does_not_fit_is_told_in_words(wrong: dict[str, Any], words: str) -> None:
    content = {"name": "x", **wrong}
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(content, Profile)
    assert in_words(caught.value, content) == words


@pytest.mark.parametrize(
    ("content", "words"), [({}, "name is missing"), ([], "the body has to be an object, not a list")]
)
def test_a_body_that_does_not_fit_is_told_in_words(content: Any, words: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(content, Profile)
    assert in_words(caught.value, content) == words
