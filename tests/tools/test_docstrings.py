"""The three forms of docstrings, and what is none of them."""

import pytest

from agent.tools.docstrings import read_docstring

REST = """Tell the weather
    of a city.

    More words, of no interest here.

    :param str city: where
        it is.
    :param days: how many.
    :param nothing:
    :raises ValueError: no such city.
    :returns: words: many of them.
    """

GOOGLE = """Tell the weather
    of a city.

    Args:
        city (str, optional): where
            it is.
        days: how many.
        nothing:

    Returns:
        words: many of them.
    """

NUMPY = """Tell the weather
    of a city.

    Parameters
    ----------
    city : str, optional
        where
        it is.
    days
        how many.
    nothing : int

    Returns
    -------
    words
        many of them.
    """


@pytest.mark.parametrize("text", [REST, GOOGLE, NUMPY], ids=["rest", "google", "numpy"])
def test_the_three_forms(text: str) -> None:
    said = read_docstring(text)
    assert said.summary == "Tell the weather of a city."
    assert said.parameters == {"city": "where it is.", "days": "how many."}


@pytest.mark.parametrize(
    ("text", "parameters"),
    [
        ("Params:\n    a, b: both.\n\n    c: with\n\n      a gap.", {"a": "both.", "b": "both."}),
        ("Words.\n\nAttributes:\n    a (dict(str, int)): it: is.", {"a": "it: is."}),
        ("Parameters\n----------\na, b : int\n    both.", {"a": "both.", "b": "both."}),
        (":ivar a: is\n  it.\nAnd on.", {"a": "is it."}),
    ],
)
def test_variants(text: str, parameters: dict[str, str]) -> None:
    found = read_docstring(text).parameters
    assert {name: found[name] for name in parameters} == parameters


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (None, ""),
        ("", ""),
        ("   \n\n  ", ""),
        ("One line.", "One line."),
        ("Args:\n    a: b", ""),
        (":param a: b", ""),
        ("Words\n:param a: b", "Words"),
        ("Words\nParameters\n-----\na\n  b", "Words"),
        ("The time: now.", "The time: now."),
    ],
)
def test_the_summary(text: str | None, summary: str) -> None:
    assert read_docstring(text).summary == summary


def test_what_is_in_no_form_says_nothing() -> None:
    text = "Words.\n\nSome thing: not a parameter.\nExample:\n    city: Paris\n\nArgs: none"
    assert read_docstring(text).parameters == {}
