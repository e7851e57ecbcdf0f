"""Exports share a folder with whatever users keep there."""

import json
import pathlib
import shutil
import subprocess

import pytest

from keras_vae import exporters
from keras_vae.core import asides
from keras_vae.exporters import staging
from tests.core.child import command
from tests.exporters.support import contents, make_model
from tests.full_disk import small_disk


@pytest.fixture(scope="module")
def vae():
    return make_model()


@pytest.fixture(scope="module")
def exported(vae, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "out"
    return folder, exporters.export_onnx(vae, folder, signatures=["decode"])


@pytest.fixture
def out(exported, tmp_path):
    """A folder of its own with an export."""
    return pathlib.Path(shutil.copytree(exported[0], tmp_path / "out"))


def onnx(vae, folder, **options):
    return exporters.export_onnx(vae, folder, **{"signatures": ["decode"], **options})


def archive(vae, folder, **options):
    return exporters.export_keras_archive(vae, folder, signatures=["decode"], **options)


def saved_model(vae, folder, **options):
    return exporters.export_saved_model(vae, folder, signatures=["decode"], **options)


def agrees(folder):
    """Whether all files that a manifest lists are as it says."""
    found = exporters.read_manifest(folder)
    files = [item for entry in found.values() for item in entry.files.items()]
    return bool(files) and not any(
        staging.foreign(folder, name, {name: entry}) for name, entry in files
    )


def test_an_earlier_export_is_replaced_and_other_files_stay(vae, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    onnx(vae, tmp_path, signatures=["decode", "encode"])
    onnx(vae, tmp_path)
    assert sorted(contents(tmp_path)) == ["decode.onnx", "manifest.json", "notes.txt"]
    assert agrees(tmp_path)


@pytest.mark.parametrize(
    ("export", "name"),
    [
        (onnx, "decode.onnx"),
        (archive, "decoder.keras"),
        (saved_model, "1/weights.bin"),
        (saved_model, "models.config"),
    ],
)
def test_files_of_users_are_replaced_only_when_asked(vae, tmp_path, export, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ValueError, match=rf"`folder` holds '{name}'.*overwrite=True"):
        export(vae, tmp_path)
    assert (tmp_path / name).read_text() == "mine"
    export(vae, tmp_path, overwrite=True)
    assert agrees(tmp_path)
    assert "mine" not in [p.read_text("latin-1") for p in tmp_path.rglob("*") if p.is_file()]


def test_what_users_changed_in_an_export_is_theirs(vae, tmp_path):
    saved_model(vae, tmp_path)
    labels = tmp_path / "1" / "assets.extra" / "labels.txt"
    labels.write_text("cat")
    with pytest.raises(ValueError, match=r"'1/assets.extra/labels.txt'"):
        saved_model(vae, tmp_path)
    labels.unlink()
    saved_model(vae, tmp_path)
    (tmp_path / "models.config").write_text("changed")
    with pytest.raises(ValueError, match=r"'models.config'.*changed since"):
        saved_model(vae, tmp_path)
    assert (tmp_path / "models.config").read_text() == "changed"


def test_a_changed_file_of_a_signature_that_is_gone_stays(vae, tmp_path):
    onnx(vae, tmp_path, signatures=["decode", "encode"])
    (tmp_path / "encode.onnx").write_text("mine")
    onnx(vae, tmp_path)
    assert (tmp_path / "encode.onnx").read_text() == "mine"


def test_a_link_is_not_followed_out_of_the_folder(vae, tmp_path):
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "decode.onnx").symlink_to(tmp_path / "victim")
    with pytest.raises(ValueError, match=r"'decode.onnx'"):
        onnx(vae, tmp_path / "out")
    assert (tmp_path / "victim").read_text() == "mine"


ODD = {
    "list": [],
    "format": {"format": 2, "targets": {}},
    "targets": {"format": 1, "targets": []},
    "entry": {"format": 1, "targets": {"onnx": None}},
    "empty": {"format": 1, "targets": {"onnx": {}}},
}


@pytest.mark.parametrize("odd", list(ODD))
def test_odd_manifests_are_one_clear_error(vae, tmp_path, odd):
    text = json.dumps(ODD[odd])
    (tmp_path / "manifest.json").write_text(text)
    for attempt in (lambda: onnx(vae, tmp_path), lambda: exporters.read_manifest(tmp_path)):
        with pytest.raises(ValueError, match=r"'manifest.json'.*overwrite=True"):
            attempt()
    assert (tmp_path / "manifest.json").read_text() == text
    assert staging.known(tmp_path, overwrite=True) == {}


CHANGES = {
    "files": {"../victim": {"sha256": "0", "bytes": 1}},
    "signatures": 3,
    "versions": {"keras": 3},
    "tolerance": "small",
    "run": None,
}


@pytest.mark.parametrize("field", list(CHANGES))
def test_manifests_are_checked_field_by_field(vae, tmp_path, out, field):
    (tmp_path / "victim").write_text("mine")
    path = out / "manifest.json"
    content = json.loads(path.read_text())
    content["targets"]["onnx"][field] = CHANGES[field]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"targets.onnx.*Received: folder="):
        onnx(vae, out)
    assert (tmp_path / "victim").read_text() == "mine"


def test_a_manifest_is_read_as_it_was_returned(exported, tmp_path):
    assert exporters.read_manifest(exported[0]) == {"onnx": exported[1]}
    assert exporters.read_manifest(tmp_path / "nothing") == {}


def test_a_full_disk_leaves_the_earlier_export(vae, out):
    before = contents(out)
    with small_disk(), pytest.raises(OSError, match="What was there is unchanged"):
        onnx(vae, out)
    assert contents(out) == before
    assert agrees(out)


def test_folders_of_killed_exports_are_removed(vae, tmp_path):
    left = tmp_path / f".out.writing-{2**22 + 1}-0123abcd"
    (left / "new").mkdir(parents=True)
    (left / ".lock").write_text("")
    (left / "new" / "decode.onnx").write_text("half")
    onnx(vae, tmp_path)
    assert sorted(contents(tmp_path)) == ["decode.onnx", "manifest.json"]


def test_an_export_waits_for_another_into_the_same_folder(vae, tmp_path):
    script = (
        "import pathlib, sys, time\n"
        "from keras_vae.core.locks import locked\n"
        "with locked(pathlib.Path(sys.argv[1]), 'export'):\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(3)\n"
    )
    arguments = command(script, tmp_path / "manifest.json")
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "locked\n"
        onnx(vae, tmp_path)
        assert other.wait() == 0
    archive(vae, tmp_path)
    assert set(exporters.read_manifest(tmp_path)) == {"onnx", "keras_archive"}
    assert agrees(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ValueError, match=r"`folder` must be writable.*file/below.*directory"),
        staging.staging(tmp_path / "file" / "below"),
    ):
        pass


def test_a_folder_that_cannot_be_written_to_is_a_clear_error(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(asides.Path, "mkdir", refuse)
    with (
        pytest.raises(ValueError, match=r"`folder` must be writable.*Permission denied"),
        staging.staging(tmp_path / "new"),
    ):
        pass


def test_addresses_are_refused(vae):
    with pytest.raises(ValueError, match=r"`folder` must be a path of this machine.*gs://"):
        onnx(vae, "gs://bucket/out")
