from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from agents.model_files import MANIFEST, SPECIFICATION, WEIGHTS, load, save, verify
from domain.errors import ModelRefused
from domain.voting import AgentId

AGENT = AgentId.RISK_MANAGER


@pytest.fixture(params=["classic", "residual"])
def trained(request, classics, trained_risk):
    return classics[AGENT] if request.param == "classic" else trained_risk


@pytest.fixture
def folder(tmp_path, trained_risk):
    save(tmp_path / "model", trained_risk, data_version="d1", code_version="c1")
    return tmp_path / "model"


def resave(folder, trained, change):
    """Save a model whose tensors were changed, with a manifest that is true to the change."""
    save(folder, trained)
    tensors = load_file(folder / WEIGHTS)
    change(tensors)

    class Network(torch.nn.Module):
        def state_dict(self):
            return tensors

    save(folder, replace(trained, model=replace(trained.model, network=Network())))


def test_a_model_comes_back_as_it_was(trained, tmp_path):
    manifest = save(tmp_path / "m", trained, data_version="d1", code_version="c1")
    model = load(tmp_path / "m", AGENT)
    assert model.specification == trained.model.specification
    rows = np.random.default_rng(0).standard_normal((5, len(model.specification.inputs)))
    np.testing.assert_array_equal(model.predict(rows), trained.model.predict(rows))
    assert verify(tmp_path / "m", AGENT) == manifest
    assert (manifest.data_version, manifest.code_version) == ("d1", "c1")


def test_saving_the_same_model_writes_the_same_bytes(trained, tmp_path):
    for name in "ab":
        save(tmp_path / name, trained)
    for name in (WEIGHTS, SPECIFICATION, MANIFEST):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize("name", [WEIGHTS, SPECIFICATION, MANIFEST])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_flipped_byte_is_refused(folder, name, share):
    content = bytearray((folder / name).read_bytes())
    content[int(share * len(content))] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(ModelRefused):
        load(folder, AGENT)


@pytest.mark.parametrize("name", [WEIGHTS, SPECIFICATION, MANIFEST])
def test_a_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(ModelRefused, match=name):
        load(folder, AGENT)


def test_an_extra_file_is_refused(folder):
    (folder / "model.pt").write_bytes(b"")
    with pytest.raises(ModelRefused, match=r"model\.pt"):
        load(folder, AGENT)


def test_another_agents_model_is_refused(folder):
    with pytest.raises(ModelRefused, match="risk_manager, not of execution"):
        load(folder, AgentId.EXECUTION)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda t: t.pop("head.bias"), "head.bias"),
        (lambda t: t.update(extra=torch.zeros(1)), "extra"),
        (lambda t: t.update({"head.bias": torch.zeros(2, dtype=torch.float64)}), "head.bias"),
        (lambda t: t.update({"head.bias": torch.zeros(1)}), "float32"),
        (lambda t: t["head.bias"].fill_(torch.nan), "not finite"),
    ],
    ids=["missing", "extra", "shape", "type", "nan"],
)
def test_wrong_tensors_are_refused_even_with_a_true_manifest(tmp_path, trained_risk, change, why):
    resave(tmp_path / "m", trained_risk, change)
    with pytest.raises(ModelRefused, match=why):
        load(tmp_path / "m", AGENT)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("outputs", ("log_range",)),
        ("inputs", ("next_return",)),
        ("architecture", "transformer"),
        ("hidden_units", 10**9),
        ("format_version", 2),
    ],
)
def test_a_specification_of_another_kind_is_refused(tmp_path, trained_risk, field, value):
    wrong = msgspec.structs.replace(trained_risk.model.specification, **{field: value})
    save(
        tmp_path / "m",
        replace(trained_risk, model=replace(trained_risk.model, specification=wrong)),
    )
    with pytest.raises(ModelRefused, match=field):
        load(tmp_path / "m", AGENT)
