"""Which version of the time zone data is in use."""

import subprocess
import sys
import zoneinfo

import pytest
import tzdata

from tgscheduler import clock


@pytest.fixture
def version_of(monkeypatch):
    """Return what is said when the zone data lies in these folders."""

    def ask(*folders):
        monkeypatch.setattr(zoneinfo, "TZPATH", tuple(map(str, folders)))
        return clock.zone_data_version.__wrapped__()

    return ask


def folder(path, zone="UTC", **files):
    (path / zone).parent.mkdir(parents=True, exist_ok=True)
    (path / zone).write_bytes(b"TZif")
    for name, content in files.items():
        (path / {"zi": "tzdata.zi", "version": "+VERSION"}[name]).write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({"zi": b"# version 2025b\n# redo posix_only\n"}, "2025b"),
        ({"zi": b"# version 2025b\n", "version": b"2024a\n"}, "2025b"),
        ({"version": b"2024a\n"}, "2024a"),
        ({"zi": b"R d 1916 o - Jun 14 23s 1 S\n", "version": b"2024a\n"}, "2024a"),
        ({"zi": b"\xff\x00"}, "unknown"),
        ({"zi": b"# version \x07\n"}, "unknown"),
        ({"zi": b""}, "unknown"),
        ({}, "unknown"),
        ({"zone": "Etc/UTC", "version": b"2024a\n"}, "2024a"),
    ],
)
def test_the_host_s_data_says_its_version(version_of, tmp_path, files, version):
    assert version_of(tmp_path / "missing", folder(tmp_path / "zones", **files), folder(tmp_path / "later")) == version


def test_without_the_host_s_data_it_is_the_package_s(version_of, tmp_path):
    (tmp_path / "tzdata.zi").write_text("# version 1999a\n")  # there are no zones beside it
    assert version_of() == version_of(tmp_path) == f"{tzdata.IANA_VERSION} (tzdata package)"


def test_without_any_data_it_is_unknown(version_of, monkeypatch):
    monkeypatch.setitem(sys.modules, "tzdata", None)
    assert version_of() == "unknown"


def test_it_is_the_data_that_zoneinfo_reads():
    code = "from tgscheduler import clock; print(clock.zone_data_version())"
    found = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONTZPATH": ""}, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == f"{tzdata.IANA_VERSION} (tzdata package)"
    assert clock.zone_data_version() is clock.zone_data_version()
