"""What tests see of an exported page, and what it should show."""

import json

import numpy as np

PHONE = {"viewport": {"width": 390, "height": 844}, "isMobile": True, "hasTouch": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
SHOWN = "document.getElementById('numbers').textContent"
PIXELS = """(() => {{
  const canvas = document.querySelectorAll({selector!r})[{index}];
  const pixels = canvas.getContext("2d").getImageData({box});
  return [canvas.width, canvas.height, Array.from(pixels.data)];
}})()"""


def pixels(selector="#output", index=0, box=None):
    size = ", ".join(map(str, box)) if box else "0, 0, canvas.width, canvas.height"
    return ["see", PIXELS.format(selector=selector, index=index, box=size)]


def shown():
    """Steps that see z, the label and the pixels of what is decoded."""
    label = "Number(document.querySelector('#condition input:checked')?.value ?? -1)"
    return [["see", SHOWN], ["see", label], pixels()]


def latents(text):
    return np.array(json.loads(text.removeprefix("z = ")), "float32")


def assert_shows(model, seen, z=None, label=None, box=None):
    """Check that pixels are those of what the model decodes, to one of 255 levels."""
    wanted = 255 * np.clip(decoded(model, z, label), 0, 1)
    width = box or seen[0]
    got = np.reshape(seen[2], [-1, width, 4])
    assert np.all(got[..., 3] == 255)
    assert got.shape[:2] == wanted.shape[:2]
    assert np.max(np.abs(got[..., :3] - wanted)) <= 1
    assert np.ptp(wanted) > 50  # else a blank picture would do


def decoded(model, z, label=None):
    condition = None if label is None else np.array([label])
    return model.decode(np.asarray(z, "float32")[None], condition=condition)[0]


def described(folder):
    return json.loads((folder / "web" / "explorer.json").read_text())
