"""Which process is which, and when it is gone; migrations as text."""

import os
import subprocess
import sys

import pytest

from tgscheduler.stores import nodes
from tgscheduler.stores.migrating import migrations, statements
from tgscheduler.stores.nodes import LEFT, Process, birth, is_gone, this_process

NOW = 1_900_000_000.0


def test_this_process_is_not_gone():
    me = this_process()
    assert me.number == os.getpid()
    assert me == this_process()
    assert not is_gone(me, NOW - 5, me, NOW)


def test_who_has_left_or_was_not_seen_for_a_minute_is_gone():
    me = this_process()
    assert is_gone(me, LEFT, me, NOW)
    assert not is_gone(me, NOW - 60, me, NOW)
    assert is_gone(me, NOW - 61, me, NOW)


def test_a_process_of_this_machine_is_gone_with_its_number():
    me = this_process()
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        other = me._replace(number=process.pid, birth=birth(process.pid) or 0)
        assert not is_gone(other, NOW, me, NOW)
        if other.birth:  # the kernel knows it for the one that it was: no clock is asked
            assert not is_gone(other, NOW - 1_000_000, me, NOW)
            assert not is_gone(other, NOW + 1_000_000, me, NOW)
    finally:
        process.communicate()
    assert is_gone(other, NOW, me, NOW)
    assert birth(process.pid) is None


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the time of a process's birth is not told")
def test_a_number_that_another_process_has_now_is_not_the_one_that_is_gone():
    me = this_process()
    assert me.birth > 0
    assert is_gone(me._replace(birth=me.birth - 1), NOW, me, NOW)
    assert not is_gone(me._replace(birth=0), NOW, me, NOW)


def test_of_another_machine_only_the_time_tells():
    me = this_process()
    for other in (me._replace(host="elsewhere", number=1 << 22), Process(me.host, "another boot", 1 << 22, 1)):
        assert not is_gone(other, NOW - 59, me, NOW)
        assert is_gone(other, NOW - 61, me, NOW)


def test_a_process_of_another_user_that_is_hidden_lives(monkeypatch):
    me = this_process()

    def is_hidden(path):
        raise FileNotFoundError(path)

    def kill(number, signal):
        raise PermissionError

    monkeypatch.setattr(nodes.Path, "read_text", is_hidden)
    monkeypatch.setattr(nodes.os, "kill", kill)
    assert birth(1) == 0
    assert not is_gone(me._replace(number=1), NOW, me, NOW)
    assert is_gone(me._replace(number=1), NOW - 61, me, NOW)


def test_migrations_are_numbered_without_a_gap_and_the_same_for_both():
    for dialect in ("sqlite", "postgres"):
        assert list(migrations(dialect)) == list(range(1, len(migrations(dialect)) + 1))
    assert migrations("sqlite").keys() == migrations("postgres").keys()


def test_a_migration_is_parted_into_its_statements():
    text = "-- a; comment\nCREATE TABLE a (b text);\n\n  -- more;\nINSERT INTO a\nVALUES (';');\n"
    assert statements(text) == ["CREATE TABLE a (b text)", "INSERT INTO a\nVALUES (';')"]
