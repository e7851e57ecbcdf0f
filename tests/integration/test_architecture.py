"""The house: who may import whom, and what is found nowhere in it.

The floors are those of docs/architecture.md. A module imports lower floors only; units of one
floor do not import each other, but for the order stated here.
"""

import ast
import pathlib

import pytest

import keras_vae

ROOT = pathlib.Path(keras_vae.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Units - modules and packages of keras_vae - from the ground up. Those of one group do not
# know each other; a group sees all groups above it in this list. Groups share a floor where
# a floor has an order of its own.
FLOORS = [
    ("F0", ["core"]),
    ("F0", ["arguments", "numerics", "progress", "terms"]),
    ("F0", ["component", "streams"]),
    ("F0", ["trainability"]),
    ("F1", ["flows", "geometry", "networks", "parameters", "preprocessors", "schedules"]),
    ("F2", ["posteriors", "priors", "likelihoods"]),
    ("F3", ["objectives", "estimators"]),
    ("F3", ["data"]),
    ("F3", ["tables"]),
    ("F4", ["models"]),
    ("F5", ["samplers", "plots"]),
    ("F5", ["evaluation"]),
    ("F6", ["tasks", "callbacks", "exporters"]),
    ("F7", ["cli"]),
]
RANK = {unit: rank for rank, (_, units) in enumerate(FLOORS) for unit in units}
FLOOR_OF = {unit: floor for floor, units in FLOORS for unit in units}
LONGEST_FILE = 400

every_file = pytest.mark.parametrize(
    "path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix()
)


def unit_of(path):
    """The unit a file belongs to: `priors` for keras_vae/priors/mixture.py."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path):
    """Line and full name of each import of a file, those of type checkers left out.

    Imports inside functions count: they are made later, but they are made.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    hidden = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for statement in branch.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{a.name}") for a in node.names)


def test_every_unit_has_a_floor():
    units = {unit_of(path) for path in FILES} - {"__init__", "__main__"}
    assert units <= set(RANK), f"give {sorted(units - set(RANK))} a floor in FLOORS"


@every_file
def test_modules_import_lower_floors_only(path):
    unit = unit_of(path)
    if unit in ("__init__", "__main__"):
        return
    for line, name in imports(path):
        package, _, rest = name.partition(".")
        if package != "keras_vae":
            continue
        imported = rest.split(".")[0]
        if imported == "__version__":
            continue
        place = f"{path.relative_to(ROOT)}:{line}"
        assert imported in RANK, f"{place}: import {name} from the module that defines it"
        assert imported == unit or RANK[imported] < RANK[unit], (
            f"{place}: {unit} ({FLOOR_OF[unit]}) imports {imported} ({FLOOR_OF[imported]})"
        )


@every_file
def test_module_names_its_floor(path):
    unit = unit_of(path)
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert text, "a module begins with a docstring that says what it holds"
    if path.name != "__init__.py":
        assert f"Floor {FLOOR_OF[unit][1:]}" in text


@every_file
def test_no_file_is_too_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


# What each would break is written beside it.
FORBIDDEN_IMPORTS = {
    "tf_keras": "weights in it are invisible to Keras 3",
    "pickle": "files must be safe to load",
    "cloudpickle": "files must be safe to load",
    "dill": "files must be safe to load",
    "joblib": "files must be safe to load",
}
FORBIDDEN_NAMES = {
    "Lambda": "a lambda layer cannot be saved without code in the file",
    "AutoregressiveNetwork": "built on tf_keras",
    "real_nvp_default_template": "built on tf_keras",
    "enable_unsafe_deserialization": "files must be safe to load",
}


@every_file
def test_nothing_of_the_forbidden_is_used(path):
    for line, name in imports(path):
        reason = FORBIDDEN_IMPORTS.get(name.split(".")[0])
        assert reason is None, f"line {line}: {name}: {reason}"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        name = getattr(node, "attr", None) or getattr(node, "id", None)
        assert name not in FORBIDDEN_NAMES, f"{node.lineno}: {name}: {FORBIDDEN_NAMES[name]}"
        if isinstance(node, ast.Attribute) and node.attr == "layers":
            owner = ast.unparse(node.value)
            assert owner not in ("tfp", "tensorflow_probability"), (
                f"line {node.lineno}: tfp.layers is built on tf_keras"
            )


@every_file
def test_only_plots_imports_matplotlib(path):
    found = [line for line, name in imports(path) if name.split(".")[0] == "matplotlib"]
    assert not found or unit_of(path) == "plots"


def test_the_checks_find_what_they_look_for(tmp_path):
    # The rules above hold of the package; here they meet code that breaks them.
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "import keras_vae.models.vae\n"
        "from keras_vae import priors, numerics\n"
        "if TYPE_CHECKING:\n"
        "    from keras_vae.cli import main\n"
        "def f():\n"
        "    import pickle\n"
    )
    assert [name for _, name in imports(path)] == [
        "typing.TYPE_CHECKING",
        "keras_vae.models.vae",
        "keras_vae.priors",
        "keras_vae.numerics",
        "pickle",
    ]
    path.write_text("from . import numerics\n")
    with pytest.raises(AssertionError, match="relative import"):
        list(imports(path))
