import pathlib

import pytest

from keras_vae.exporters import staging
from tests.exporters.support import contents


def fill(folder, text):
    """A folder `1` with a file in it, and a file."""
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "saved_model.pb").write_text(text)
    (folder / "manifest.json").write_text(text)


def publish(folder):
    with staging.staging(folder) as stage:
        fill(stage, "new")
        staging.publish(stage, folder, ["1", "manifest.json"])


@pytest.fixture(params=["exchange", "rename"])
def kernel(request, monkeypatch):
    """Both ways: Linux, and everything else."""
    if request.param == "rename":
        monkeypatch.setattr(staging, "_exchange", lambda a, b: False)


@pytest.mark.usefixtures("kernel")
def test_publishes_into_a_new_folder(tmp_path):
    publish(tmp_path / "out")
    assert set(contents(tmp_path / "out")) == {"1", "1/saved_model.pb", "manifest.json"}


@pytest.mark.usefixtures("kernel")
def test_replaces_what_was_there(tmp_path):
    fill(tmp_path, "old")
    publish(tmp_path)
    assert set(contents(tmp_path)) == {"1", "1/saved_model.pb", "manifest.json"}
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "new"
    assert (tmp_path / "manifest.json").read_text() == "new"


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("existing", [True, False])
def test_publishes_all_or_nothing(tmp_path, monkeypatch, existing):
    folder = tmp_path / "out"
    if existing:
        fill(folder, "old")
    before = contents(tmp_path)
    swap = staging._swap

    def failing(a, b):
        if b.name == "manifest.json":
            raise OSError("disk full")
        swap(a, b)

    monkeypatch.setattr(staging, "_swap", failing)
    with pytest.raises(OSError, match="disk full"):
        publish(folder)
    assert contents(tmp_path) == before


def test_rename_that_fails_halfway_is_taken_back(tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "_exchange", lambda a, b: False)
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")
    rename = pathlib.Path.rename

    def failing(self, target):
        if self.name == "a":
            raise OSError("no")
        return rename(self, target)

    monkeypatch.setattr(pathlib.Path, "rename", failing)
    with pytest.raises(OSError, match="no"):
        staging._swap(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_text() == "old"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_nothing(tmp_path, error):
    def fail():
        with staging.staging(tmp_path / "a" / "b") as stage:
            fill(stage, "half")
            raise error

    with pytest.raises(error):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_an_error_leaves_folders_of_others(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError), staging.staging(tmp_path / "a" / "b"):
        raise ValueError
    assert list(contents(tmp_path)) == ["a"]


def test_permissions_are_those_of_new_files(tmp_path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "file").write_text("")
    publish(tmp_path / "out")
    out, plain = tmp_path / "out", tmp_path / "plain"
    assert (out / "1").stat().st_mode == plain.stat().st_mode
    assert (out / "manifest.json").stat().st_mode == (plain / "file").stat().st_mode


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ValueError, match=r"`folder` must be writable.*file/below.*directory"),
        staging.staging(tmp_path / "file" / "below"),
    ):
        pass


def test_a_folder_that_cannot_be_written_to_is_a_clear_error(tmp_path, monkeypatch):
    def refuse(**kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(staging.tempfile, "mkdtemp", refuse)
    with (
        pytest.raises(ValueError, match=r"`folder` must be writable.*Permission denied"),
        staging.staging(tmp_path / "new"),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_only_exports_are_replaced(tmp_path):
    fill(tmp_path, "old")
    (tmp_path / "photos").mkdir()
    staging.check_replaceable(tmp_path / "photos", "saved_model.pb")  # Empty.
    (tmp_path / "photos" / "a.jpg").write_text("")
    staging.check_replaceable(tmp_path / "nothing", "saved_model.pb")
    staging.check_replaceable(tmp_path / "1", "saved_model.pb")
    staging.check_replaceable(tmp_path / "manifest.json", "")
    for name, marker in [("photos", "saved_model.pb"), ("manifest.json", "x"), ("1", "")]:
        with pytest.raises(ValueError, match=f"already holds '{name}'.*another folder"):
            staging.check_replaceable(tmp_path / name, marker)
