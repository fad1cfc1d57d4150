import pytest
import torch

from agents.learning.actor_critic import ActorCritic
from agents.learning.checkpoints import Checkpoint, read, restore, snapshot, write
from agents.learning.environments.interface import Continuous
from domain.errors import ModelRefused


def made(hidden=(4,)):
    module = ActorCritic(2, Continuous(1), 0, hidden)
    return module, torch.optim.Adam(module.parameters()), torch.Generator().manual_seed(0)


def test_what_is_read_is_what_was_written(tmp_path):
    module, optimizer, generator = made()
    module.critic(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    stored = snapshot(module, optimizer, generator, {"mine": torch.arange(3)}, rounds=7)
    write(tmp_path / "new" / "checkpoint", stored)
    found = read(tmp_path / "new" / "checkpoint")
    assert found.numbers == {"rounds": 7}
    assert found.tensors.keys() == stored.tensors.keys()
    assert all(torch.equal(found.tensors[name], stored.tensors[name]) for name in found.tensors)
    assert restore(found, *made())["mine"].tolist() == [0, 1, 2]


def test_a_snapshot_does_not_change_with_what_learns():
    module, optimizer, generator = made()
    stored = snapshot(module, optimizer, generator)
    with torch.no_grad():
        module.log_deviation.fill_(9.0)
    assert float(stored.tensors["module.log_deviation"]) != 9.0


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04not safetensors"])
def test_a_missing_or_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "checkpoint"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelRefused, match="refused"):
        read(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "checkpoint"
    write(path, snapshot(*made()))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ModelRefused, match="refused"):
        read(path)


def test_another_network_s_checkpoint_is_refused():
    with pytest.raises(ModelRefused, match="not of what learns here"):
        restore(snapshot(*made(hidden=(5,))), *made())
    with pytest.raises(ModelRefused, match="not of what learns here"):
        restore(Checkpoint({}, {}), *made())
