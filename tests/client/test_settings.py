"""Which address, which key."""

import pytest

from cultivar import ConfigurationError
from cultivar._settings import is_loopback, resolve


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    for name in ("CULTIVAR_URL", "CULTIVAR_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CULTIVAR_HOME", str(tmp_path))
    return tmp_path


def test_the_local_key_file_opens_the_local_service(bare):
    (bare / "key").write_text("cv_local\n")
    assert resolve().base_url == "http://127.0.0.1:8321"
    assert resolve().api_key == "cv_local"


def test_the_local_key_never_goes_to_another_machine(bare):
    (bare / "key").write_text("cv_local\n")
    with pytest.raises(ConfigurationError, match="no key"):
        resolve("https://cultivar.example.org")


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://127.0.0.1:8321", True),
        ("http://localhost", True),
        ("http://[::1]:1", True),
        ("http://127.0.0.1.example.org", False),
        ("http://localhost.example.org", False),
        ("http://10.0.0.1", False),
        ("http://user@127.0.0.1@example.org", False),
    ],
)
def test_loopback_is_told_by_the_address_alone(url, loopback):
    assert is_loopback(url) is loopback


def test_arguments_win_over_the_environment(monkeypatch):
    monkeypatch.setenv("CULTIVAR_URL", "http://one")
    monkeypatch.setenv("CULTIVAR_API_KEY", "cv_one")
    assert resolve().base_url == "http://one"
    found = resolve("http://two/", "cv_two")
    assert (found.base_url, found.api_key) == ("http://two", "cv_two")


def test_a_key_is_not_shown():
    assert "cv_secret" not in repr(resolve("http://one", "cv_secret"))


@pytest.mark.parametrize("url", ["127.0.0.1:8321", "ftp://x", "http://"])
def test_what_is_no_address_is_refused(url):
    with pytest.raises(ConfigurationError, match="no address"):
        resolve(url, "cv_x")
