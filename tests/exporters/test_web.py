import base64
import hashlib
import json
import re
import shutil

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import exporters, likelihoods, networks, posteriors
from keras_vae.exporters import web
from tests.exporters.page import (
    DESKTOP,
    PHONE,
    SHOWN,
    assert_shows,
    described,
    latents,
    pixels,
    shown,
)
from tests.exporters.support import contents, make_model


@pytest.fixture(scope="module")
def trained():
    """A model of digits with more latents than it needs."""
    digits = keras_vae.data.load_digits()
    model = keras_vae.VAE(
        networks.MLP([64]),
        networks.MLP([64]),
        posteriors.DiagonalNormal(latent_dim=14),
        likelihood=likelihoods.Bernoulli(),
        objective=keras_vae.objectives.ELBO(beta=1.5),
        event_shape=(8, 8, 1),
        seed=0,
    )
    model.compile(optimizer=keras.optimizers.Adam(3e-3))
    model.fit(digits.x_train, epochs=40, verbose=0)
    return model, digits.x_test


@pytest.fixture(scope="module")
def exported(trained, runtime, tmp_path_factory):
    folder = tmp_path_factory.mktemp("web")
    model, x = trained
    return folder, exporters.export_web(
        model, folder, data=x, runtime=runtime, title="Digits & more"
    )


@pytest.mark.slow
def test_what_is_drawn_is_what_keras_decodes(trained, exported, browse):
    model, x = trained
    folder, manifest = exported
    latent = described(folder)["latent"]
    first, second = latent["order"][:2]
    result = browse(
        folder,
        manifest,
        [
            *shown(),
            ["press", f"#z{first}", "ArrowRight", 7],
            *shown(),
            ["drag", f"#z{second}", [0.5, 0.5], [0.9, 0.5]],
            *shown(),
            ["click", "#sample"],
            *shown(),
            ["click", "#reset"],
            *shown(),
            ["click", "#examples button:nth-child(3)"],
            *shown(),
        ],
    )
    assert result["errors"] == []
    seen = result["seen"]
    views = [(latents(seen[n]), seen[n + 2]) for n in range(0, len(seen), 3)]
    assert len(views) == 6
    for z, picture in views:
        assert_shows(model, picture, z)
    start, pressed, dragged, sampled, reset, third = (z for z, _ in views)
    means = model.encode(x)
    np.testing.assert_allclose(start, means[0], atol=1e-4)
    assert pressed[first] - start[first] == pytest.approx(0.07, abs=0.006)
    assert np.array_equal(np.delete(pressed, first), np.delete(start, first))
    assert dragged[second] > 2
    assert np.array_equal(np.delete(dragged, second), np.delete(pressed, second))
    assert np.min(np.abs(sampled - dragged)) > 0
    assert np.array_equal(reset, start)
    row = np.linspace(0, len(x) - 1, 8).astype(int)[2]
    np.testing.assert_allclose(third, means[row], atol=1e-4)
    # Nothing leaves the machine.
    assert all(
        url.startswith((result["url"], "blob:" + result["url"])) for url in result["requests"]
    )


@pytest.mark.thorough
def test_map_and_films(trained, exported, browse):
    model, _ = trained
    folder, manifest = exported
    latent = described(folder)["latent"]
    order, tiles, last = latent["order"], 9, 6
    result = browse(
        folder,
        manifest,
        [
            ["clickAt", "#pad", 0.75, 0.25],
            *shown(),
            ["press", "#pad", "ArrowDown", 3],
            *shown(),
            ["choose", "#up", str(order[4])],
            ["clickAt", "#pad", 0.1, 0.9],
            *shown(),
            pixels("#mosaic", box=(2 * 9, 7 * 9, 8, 8)),
            pixels(".film canvas", index=last),
            ["click", f"#shown li:nth-child(2) .film button:nth-child({last})"],
            *shown(),
        ],
    )
    assert result["errors"] == []
    seen = result["seen"]
    clicked, pressed, other, filmed = (latents(seen[n]) for n in (0, 3, 6, 11))
    np.testing.assert_allclose(clicked[order[:2]], [1.5, 1.5], atol=0.03)
    np.testing.assert_allclose(
        pressed[order[:2]], [clicked[order[0]], clicked[order[1]] - 0.3], atol=1e-3
    )
    np.testing.assert_allclose(other[[order[0], order[4]]], [-2.4, -2.4], atol=0.03)
    assert other[order[1]] == pressed[order[1]]
    tile, frame, picture = seen[9], seen[10], seen[13]
    there = other.copy()
    there[[order[0], order[4]]] = [6 * 2.5 / tiles - 3, 3 - 6 * 7.5 / tiles]
    assert_shows(model, tile, there, box=8)
    there = other.copy()
    there[order[0]] = 3
    assert_shows(model, frame, there)
    there = other.copy()
    there[order[1]] = 2
    np.testing.assert_allclose(filmed, there)
    assert_shows(model, picture, there)


@pytest.mark.slow
def test_samples_are_standard_normal(exported, browse):
    folder, manifest = exported
    draws = 40
    result = browse(folder, manifest, [["click", "#sample"], ["see", SHOWN]] * draws)
    z = np.array([latents(text) for text in result["seen"]])
    assert z.shape == (draws, 14)
    # Five standard errors.
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert abs(z.std() - 1) < 5 / np.sqrt(2 * z.size)
    assert len(np.unique(z)) > 0.9 * z.size


@pytest.mark.slow
@pytest.mark.parametrize("context", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_fits_the_screen(exported, browse, tmp_path, context):
    folder, manifest = exported
    small = """Array.from(document.querySelectorAll("button, input, select, summary"))
        .filter((e) => e.checkVisibility() && !e.closest("[aria-hidden]"))
        .map((e) => [e.id || e.textContent || e.ariaLabel, ...(({ width, height }) =>
            [width, height])(e.getBoundingClientRect())])"""
    nameless = """Array.from(document.querySelectorAll("button, input, select, main canvas"))
        .filter((e) => !e.closest("button") || e.tagName === "BUTTON")
        .filter((e) => !e.closest("[aria-hidden]") && !e.ariaLabel && !e.ariaHidden
            && !e.textContent.trim() && !e.labels?.length).map((e) => e.outerHTML)"""
    result = browse(
        folder,
        manifest,
        [
            ["see", "[document.documentElement.scrollWidth, innerWidth]"],
            ["see", small],
            ["see", nameless],
            ["see", "document.getElementById('title').textContent"],
            ["see", "document.getElementById('facts').innerText"],
            ["click", "#folded summary"],
            ["scroll", 900],
            ["see", "document.getElementById('stage').getBoundingClientRect().top"],
            ["screenshot", str(tmp_path / "screen.png"), False],
        ],
        context,
    )
    assert result["errors"] == []
    (content, screen), controls, no_names, title, facts, top = result["seen"]
    assert content == screen == context["viewport"]["width"]
    assert no_names == []
    if context is PHONE:
        # What fingers can hit; sliders by their length.
        assert [c for c in controls if c[2] < 36 or max(c[1:]) < 44] == []
        assert 0 <= top < 20  # what is decoded stays in sight
    assert title == "Digits & more"
    assert "StandardNormal" in facts
    assert (tmp_path / "screen.png").stat().st_size > 10_000


@pytest.mark.thorough
def test_nothing_covers_the_ring_of_a_slider_in_focus(exported, browse):
    folder, manifest = exported
    room = """(({ activeElement: slider }) => {
        const { outlineStyle, outlineOffset, outlineWidth } = getComputedStyle(slider);
        const ring = parseFloat(outlineOffset) + parseFloat(outlineWidth);
        const film = slider.nextElementSibling.getBoundingClientRect();
        return [outlineStyle, film.top - slider.getBoundingClientRect().bottom - ring];
    })(document)"""
    first = described(folder)["latent"]["order"][0]
    steps = [["press", f"#z{first}", "ArrowRight", 1], ["see", room]]
    style, below = browse(folder, manifest, steps)["seen"][0]
    assert style == "solid"
    assert below >= 0


@pytest.mark.slow
def test_public_server(packages, runtime, browse, tmp_path):
    manifest = exporters.export_web(make_model(), tmp_path)
    real = {f"{web._CDN}/{name}": str(runtime / "dist" / name) for name in web._INTEGRITY}
    model = make_model()
    # The public server is played by its files; what counts is which bytes the page accepts.
    result = browse(tmp_path, manifest, shown(), served=real)
    assert result["errors"] == []
    assert set(real) <= set(result["requests"])
    assert_shows(model, result["seen"][2], latents(result["seen"][0]))
    changed = tmp_path / "changed.mjs"
    changed.write_text((runtime / "dist" / web._SCRIPT).read_text() + "\n")
    served = {**real, f"{web._CDN}/{web._SCRIPT}": str(changed)}
    said = ["see", "document.getElementById('status').textContent"]
    result = browse(tmp_path, manifest, [said], served=served)
    assert result["status"] == "error"
    assert "is not the file that this page was made for" in result["seen"][0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda page: (page / "decode.onnx").unlink(), "decode.onnx cannot be loaded, or"),
        (lambda page: (page / "explorer.json").unlink(), "explorer.json cannot be loaded: 404"),
        (lambda page: (page / "explorer.json").write_text("{"), "JSON"),
        (
            lambda page: (page / "decode.onnx").write_bytes(b"0"),
            "is not the file that this page was made for",
        ),
    ],
    ids=["no decoder", "no description", "unreadable", "changed"],
)
def test_the_page_says_what_is_wrong(exported, browse, tmp_path, damage, message):
    folder, manifest = exported
    shutil.copytree(folder / "web", tmp_path / "web")
    damage(tmp_path / "web")
    said = ["see", "document.getElementById('status').textContent"]
    result = browse(tmp_path, manifest, [said])
    assert result["status"] == "error"
    assert re.search(message, result["seen"][0])


@pytest.mark.slow
def test_what_the_page_is_told(trained, exported):
    model, x = trained
    folder, manifest = exported
    told = described(folder)
    variance = model.encode(x).var(axis=0)
    assert np.all(np.diff(variance[told["latent"]["order"]]) <= 0)
    active = keras_vae.evaluation.active_units(model, x)
    assert told["latent"]["active"] == active.sum() < 14
    assert told["latent"]["low"] == [-3] * 14
    assert told["latent"]["high"] == [3] * 14
    assert told["display"] == {"kind": "image", "low": 0, "high": 1}
    assert told["prior"] == {
        "standard": True,
        "noise": {"epsilon": {"kind": "normal", "shape": [14]}},
    }
    assert told["runtime"]["name"] == "ONNX Runtime Web 1.30.0"
    assert set(contents(folder / "web")) == {
        *(path.name for path in web._PAGE.iterdir()),
        "decode.onnx",
        "explorer.json",
        "runtime",
        f"runtime/{web._SCRIPT}",
        f"runtime/{web._WASM}",
    }
    stored = json.loads((folder / "manifest.json").read_text())["targets"]["web"]
    assert stored == json.loads(manifest.to_json())
    assert set(stored["files"]) == {
        f"web/{name}" for name in contents(folder / "web") if name != "runtime"
    }
    assert stored["options"]["onnxruntime-web"] == "1.30.0"
    assert stored["signatures"]["decode"]["path"] == "web"


@pytest.mark.slow
def test_known_files_are_those_of_the_package(runtime):
    for name, integrity in web._INTEGRITY.items():
        digest = hashlib.sha384((runtime / "dist" / name).read_bytes()).digest()
        assert integrity == f"sha384-{base64.b64encode(digest).decode()}"
