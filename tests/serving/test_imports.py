"""What a service's process must not have loaded before it starts, or ever."""

import subprocess
import sys

import pytest

from domain.voting import AgentId

HEAVY = {"torch", "agents", "mlflow", "dagster", "pandas", "great_expectations", "sqlalchemy"}


@pytest.mark.parametrize("module", ["serving.__main__", *(f"serving.{agent}" for agent in AgentId)])
def test_a_service_imports_neither_training_nor_torch(module):
    script = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(done.stdout.split())


def test_the_model_source_imports_neither_training_nor_registry():
    script = "import sys, serving.model_source, agents.model_files; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not {"mlflow", "dagster"} & set(done.stdout.split())
