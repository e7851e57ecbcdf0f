import pathlib

import pytest

from keras_vae.core.paths import is_address, local_path


def test_home_and_file_addresses_expand(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert local_path("~/a.keras") == pathlib.Path("/home/me/a.keras")
    assert local_path(pathlib.Path("~") / "a") == pathlib.Path("/home/me/a")
    assert local_path("file:///a%20b/c") == pathlib.Path("/a b/c")
    assert local_path("file://localhost/a") == pathlib.Path("/a")
    assert local_path(pathlib.Path("file:///a")) == pathlib.Path("/a")
    assert local_path("a~b/c:d") == pathlib.Path("a~b/c:d")
    assert local_path("~tmp.npy") == pathlib.Path("~tmp.npy")


@pytest.mark.parametrize("scheme", ["gs", "s3", "hdfs", "http", "https", "S3A"])
@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_remote_addresses_are_refused_with_the_fix(scheme, kind):
    path = kind(f"{scheme}://bucket/vae.keras")
    assert is_address(path)
    with pytest.raises(ValueError, match=r"`folder` must be a path of this.*copy it there"):
        local_path(path, "folder")


@pytest.mark.parametrize("path", ["file://other/a", "file://", "~nobody-here/x", "", "a\0b"])
def test_paths_that_name_nothing_are_refused(path):
    with pytest.raises(ValueError, match="`out`"):
        local_path(path, "out")


def test_what_is_no_path_is_refused():
    with pytest.raises(
        TypeError, match=r"`path` must be a path\. Received: path=3 of type int"
    ):
        local_path(3)
    assert not is_address(3)
