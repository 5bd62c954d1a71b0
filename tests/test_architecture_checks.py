"""The checks of ``test_architecture`` find what they should, and accuse nothing else."""

import ast

import pytest
from source_tree import definitions
from test_architecture import RATCHETS, circles, entry_writes, foreign_privates, held
from vocabulary import METAPHORS, WORDING


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("entry._trigger = 1", ["entry._trigger"]),
        ("print(a.b._c())", ["a.b._c"]),
        ("from tgscheduler.scheduler import _default", ["tgscheduler.scheduler._default"]),
        ("class A:\n    def f(self, other):\n        self._x = other._x", []),
        ("os._exit(1)\nself._sched._queue\nstatus._asdict()\nself._x", []),
    ],
)
def test_a_planted_foreign_private_is_found(source, found):
    assert [each.split()[1] for each in foreign_privates("planted", ast.parse(source))] == found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("entry.state = DECIDING", ["entry.state"]),
        ("entry.limits.paused_until = 1", ["entry.limits.paused_until"]),
        ("limits.in_flight.append(run)", ["limits.in_flight"]),
        ("occurrence[0].limited().queue.append(1)", ["occurrence[0].limited().queue"]),
        ("anything.high_water += 1", ["anything.high_water"]),
        ("run.state = RUNNING\ncontext.policy = 1\nself.queue = 2\ntwin.limits = 3", []),
    ],
)
def test_a_planted_write_of_an_entry_is_found(source, found):
    assert [each.split()[1] for each in entry_writes("planted", ast.parse(source))] == found


def test_a_planted_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == {"b <-> c"}
    assert circles({"a": {"b"}, "b": set()}) == set()


def test_planted_definitions_are_found():
    source = "X = 1\nclass A:\n    __slots__ = ('b',)\n    c = 2\n    def d(self):\n        self.e = f = 3"
    found = {(owner, name) for owner, name, _ in definitions("planted", ast.parse(source))}
    names = {("planted", "X"), ("planted", "A"), ("A", "__slots__"), ("A", "b"), ("A", "c"), ("A", "d"), ("A", "e")}
    assert found == names


@pytest.mark.parametrize("text", ["the clerk has it", "It is in the books.", "a lasting store", "What is handed in"])
def test_a_planted_metaphor_is_found(text):
    assert METAPHORS.search(text)


@pytest.mark.parametrize("text", ["no one recalls", "the journal", "a list of notebooks"])
def test_plain_words_are_not_accused(text):
    assert not WORDING.search(text)
    assert "books" not in {found[0] for found in METAPHORS.finditer(text)}


def test_a_ratchet_holds_in_both_directions(monkeypatch):
    monkeypatch.setitem(RATCHETS, "planted", 1)
    held("planted", ["one"], "Mend it.")
    with pytest.raises(AssertionError, match="Mend it"):
        held("planted", ["one", "two"], "Mend it.")
    with pytest.raises(AssertionError, match="lower its number"):
        held("planted", [], "Mend it.")
