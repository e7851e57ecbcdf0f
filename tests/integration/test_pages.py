"""What the pages in docs/ say of code is so."""

import operator
import pathlib
import re
import sys

import pytest

import keras_vae
from tests.integration.test_examples import run

ROOT = pathlib.Path(__file__).parents[2]
FROM_PYTHAE = (ROOT / "docs" / "from_pythae.md").read_text()
# All of pythae 0.1.2, and HRQVAE of its repository.
MODELS = (
    "AE VAE BetaVAE VAE_LinNF VAE_IAF DisentangledBetaVAE FactorVAE BetaTCVAE IWAE MIWAE PIWAE "
    "CIWAE MSSSIM_VAE WAE_MMD INFOVAE_MMD VAMP SVAE PoincareVAE Adversarial_AE VAEGAN VQVAE "
    "HRQVAE HVAE RAE_GP RAE_L2 RHVAE"
)
SAMPLERS = (
    "NormalSampler GaussianMixtureSampler TwoStageVAESampler HypersphereUniformSampler "
    "PoincareDiskSampler VAMPSampler RHVAESampler MAFSampler IAFSampler PixelCNNSampler"
)


def section(title):
    return FROM_PYTHAE.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.mark.slow
def test_the_code_for_those_who_come_from_pythae_runs(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", FROM_PYTHAE, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 6
    (tmp_path / "page.py").write_text("\n".join(blocks))
    run([sys.executable, "page.py"], tmp_path)
    assert (tmp_path / "vae.keras").exists()


@pytest.mark.parametrize(("title", "names"), [("Models", MODELS), ("Samplers", SAMPLERS)])
def test_each_model_and_sampler_of_pythae_has_one_row(title, names):
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", section(title), re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(names.split())
    assert all(re.search(r"`|missing", place) for _, place in rows)


def test_each_preset_has_its_place():
    for name in keras_vae.presets.__all__:
        assert f"`presets.{name}`" in section("Models"), name


def test_names_of_the_page_exist():
    units = "|".join(name for name in keras_vae.__all__ if name.islower())
    for name in set(re.findall(rf"\b((?:{units})\.[A-Za-z]\w*)", FROM_PYTHAE)):
        if not name.startswith("data."):
            assert operator.attrgetter(name)(keras_vae), name
