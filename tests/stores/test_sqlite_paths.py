"""A store in a folder of any name."""

import os

import pytest
from helpers import wait_for

from tgscheduler import stores
from tgscheduler.errors import StoreError
from tgscheduler.scheduler import ThreadedScheduler


def folder_named(tmp_path, name):
    folder = os.path.join(os.fsencode(tmp_path), name)
    os.mkdir(folder)
    return os.fsdecode(folder)


@pytest.mark.parametrize("name", [b"caf\xe9 \xff", "café".encode(), b"100%41 'of' it;", b"a\nb"], ids=ascii)
def test_what_ran_is_on_record_in_a_folder_of_any_name(tmp_path, name):
    path = os.path.join(folder_named(tmp_path, name), "s.db")
    scheduler = ThreadedScheduler(store=stores.open(f"sqlite:///{path}"))
    scheduler.add_single_task(int, taskname="first")
    scheduler.start()
    wait_for(lambda: scheduler.counts()["ok"] == 1)
    os.unlink(path)  # it is put back under the same name
    scheduler.add_single_task(int, taskname="second")
    wait_for(lambda: scheduler.counts()["ok"] == 2 and os.path.exists(path))
    scheduler.stop()
    assert {run.task for run in stores.open(f"sqlite:///{path}").runs()} == {"first", "second"}


def test_an_error_names_such_a_folder_in_text_that_can_be_written(tmp_path):
    folder = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9"))
    with pytest.raises(StoreError, match=r"caf\\xe9/s\.db: there is no folder .*caf\\xe9; make it"):
        ThreadedScheduler(store=stores.open(f"sqlite:///{folder}/s.db")).start()
