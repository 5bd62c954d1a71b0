"""PostgreSQL in other encodings than UTF-8: what they cannot hold is spelled out, and nothing is lost."""

import pytest
from helpers import NOON, states
from store_helpers import START, StoreFactory, claim_of, end, ended

from tgscheduler import stores
from tgscheduler.errors import StoreError
from tgscheduler.stores.audit import AuditRecord
from tgscheduler.stores.base import StoreStatus, TaskRecord
from tgscheduler.testing import TickedScheduler

pytest_plugins = ["postgres", "store_fixtures"]
pytestmark = pytest.mark.slow

TEXT = "café … 東京 \U0001f600 \udc80 \0 end"
#: Python's name of what an encoding can hold.
ENCODINGS = {
    "UTF8": "utf-8", "SQL_ASCII": "utf-8", "LATIN1": "latin-1", "LATIN9": "iso8859-15", "WIN1252": "cp1252",
    "KOI8R": "koi8-r", "EUC_JP": "euc-jp",
}  # fmt: skip


def spelled(text, encoding):
    return text.replace("\0", "\\x00").encode(ENCODINGS[encoding], "backslashreplace").decode(ENCODINGS[encoding])


@pytest.fixture(params=ENCODINGS)
def encoding(request, monkeypatch):
    """Yield an encoding; the environment asks for one that does not fit."""
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN2" if request.param == "UTF8" else "SQL_ASCII")
    return request.param


@pytest.fixture
def url(encoding, in_encoding):
    """Yield the URL of an empty database of an encoding."""
    with in_encoding(encoding) as url:
        yield url.render_as_string(hide_password=False)


def test_texts_come_back_as_far_as_they_can_be_held(url, encoding):
    factory = StoreFactory(url)
    try:
        store = factory.open()
        (answer,) = factory.claimed(store, claim_of(TEXT, START))
        run = end(answer.claim.opened[0], "failed")
        run.where = run.where._replace(thread=TEXT)
        run.reason = run.error = run.captured_log = TEXT
        plain = ended(TEXT, START + 1)
        store.record([run, plain])
        store.save([TaskRecord("é…", TEXT, high_water=START)])
        store.audit([AuditRecord(START, TEXT, "operator", "pause", "é…", TEXT), AuditRecord(START, TEXT, "", "", TEXT)])
        store.rename("é…", "東京")
        assert store.flush(5)
        assert store.status() == StoreStatus()
        second, first = store.runs(task=TEXT)
        assert second.task == first.task == TEXT
        expected = spelled(TEXT, encoding)
        assert first.where.thread == first.reason == first.error == first.log == expected
        assert store.load().keys() == {expected, spelled("東京", encoding)}
        assert store.load()[spelled("東京", encoding)].spec == expected
        assert (
            [each.who for each in store.audits("東京")] == [each.detail for each in store.audits("東京")] == [expected]
        )
        assert [each.task for each in store.audits(TEXT)] == [TEXT]
        assert store.durations([TEXT])[TEXT].counts == {"failed": 1, "ok": 1}
        assert stores.open(url).counts_by_task() == {expected: {"failed": 1, "ok": 1}}
        assert stores.open(url).runs(state="running") == []
        assert store.runs(task=TEXT, state="running") == []
    finally:
        factory.close()


def test_a_task_of_such_a_name_goes_on_after_a_restart(url):
    def begin(start):
        scheduler = TickedScheduler(start=start, store=stores.open(url, days=None))
        scheduler.stop()
        scheduler.add_interval_task(lambda: None, 600, taskname="it … 東京", on_lost="rerun")
        scheduler.start()
        return scheduler

    first = begin(NOON)
    first.tick(1000)
    first.stop()
    second = begin(NOON + 3000)
    second.tick(1000)
    try:
        assert states(second, "it … 東京") == [(0, 1, "ok"), (600, 1, "ok"), (1200, 4, "ok"), (3600, 1, "ok")]
        assert second.gone() == []
    finally:
        second.stop()


def test_an_encoding_that_cannot_serve_is_refused_in_one_line(in_encoding):
    with in_encoding("MULE_INTERNAL") as url:
        store = stores.open(url.render_as_string(hide_password=False))
        with pytest.raises(StoreError, match="use a database whose encoding is UTF8") as caught:
            store.open(lambda claims: None, lambda status: None)
        assert "\n" not in str(caught.value)


def test_a_server_that_is_read_only_is_refused_in_one_line(postgres_schema, monkeypatch):
    postgres = pytest.importorskip("tgscheduler.stores.postgres")
    monkeypatch.setattr(postgres, "_WRITING", postgres._READING)  # as a standby has it
    monkeypatch.setattr(postgres, "_MIGRATING", postgres._READING)
    with pytest.raises(StoreError, match="read-only transaction; the server is a standby") as caught:
        stores.open(postgres_schema).open(lambda claims: None, lambda status: None)
    assert "\n" not in str(caught.value)
