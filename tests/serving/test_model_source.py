import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.metrics import PrometheusMetrics
from adapters.model_registry.deployed import DeployedModels
from domain.errors import ModelRefused
from domain.voting import AgentId
from serving.model_source import LocalModelSource

AGENT = AgentId.EXECUTION


def refuse_nan(deployed):
    """Stand in for the agents' loader: weights that say NaN are not served."""
    if (deployed.folder / "model.safetensors").read_bytes() == b"NaN":
        raise ModelRefused("Tensor w is not finite.", next_step="Train again.")


@pytest.fixture
def metrics():
    return PrometheusMetrics()


@pytest.fixture
def source(tmp_path, metrics):
    return LocalModelSource(
        DeployedModels(tmp_path / "models"), AGENT, trial=refuse_nan, metrics=metrics
    )


def fallbacks(metrics, reason="ModelRefused"):
    labels = {"agent": AGENT, "reason": reason}
    return metrics.registry.get_sample_value("quorum_model_fallbacks_total", labels) or 0


def test_nothing_deployed_is_refused_until_something_is(source, deploy, promote):
    with pytest.raises(ModelRefused, match=r"No model of execution can be served"):
        source.current(AGENT)
    version = deploy(AGENT, 1)
    promote(version)
    assert source.current(AGENT).version == version


def test_a_moved_pointer_is_served_after_a_refresh(source, deploy, metrics, promote):
    first, second = deploy(AGENT, 1), deploy(AGENT, 2)
    promote(first)
    assert source.current(AGENT).version == first
    promote(second, first)
    assert source.current(AGENT).version == first
    assert not source.changed(AGENT, first.label)
    assert source.refresh()
    assert source.changed(AGENT, first.label)
    assert source.current(AGENT).version == second
    assert not source.refresh()
    assert fallbacks(metrics) == 0


def test_a_champion_that_fails_to_load_leaves_the_served_one(source, deploy, metrics, promote):
    good, bad = deploy(AGENT, 1), deploy(AGENT, 2, b"NaN")
    promote(good)
    source.refresh()
    promote(bad, good)
    assert not source.refresh()
    assert source.current(AGENT).version == good
    assert source.fallback == "Tensor w is not finite."
    assert fallbacks(metrics) == 1
    assert not source.refresh(), "one try for each move of the pointer"
    assert fallbacks(metrics) == 1


def test_a_start_with_an_altered_champion_serves_the_previous(
    tmp_path, source, deploy, metrics, promote
):
    good, champion = deploy(AGENT, 1), deploy(AGENT, 2)
    promote(champion, good)
    (tmp_path / "models" / AGENT / "2" / "model.safetensors").write_bytes(b"flipped")
    assert source.current(AGENT).version == good
    assert "model.safetensors was altered" in source.fallback
    assert fallbacks(metrics) == 1


def test_a_repaired_champion_is_served_and_the_fallback_forgotten(source, deploy, promote):
    good, bad = deploy(AGENT, 1), deploy(AGENT, 2, b"NaN")
    promote(bad, good)
    source.refresh()
    better = deploy(AGENT, 3)
    promote(better, good)
    assert source.refresh()
    assert source.current(AGENT).version == better
    assert source.fallback == ""


def test_a_lost_or_torn_pointer_changes_nothing_that_is_served(
    source, deploy, metrics, promote, models
):
    version = deploy(AGENT, 1)
    promote(version)
    source.refresh()
    models.pointer(AGENT).write_text("{")
    source.refresh()
    assert source.current(AGENT).version == version
    models.pointer(AGENT).unlink()
    source.refresh()
    assert source.current(AGENT).version == version
    assert fallbacks(metrics) == 2


def test_when_nothing_loads_it_says_why(source, deploy, promote):
    promote(deploy(AGENT, 1, b"NaN"))
    with pytest.raises(ModelRefused, match="not finite"):
        source.current(AGENT)


def test_another_agent_s_model_is_not_asked_for_here(source):
    with pytest.raises(ModelRefused, match="model source of execution"):
        source.current(AgentId.RISK_MANAGER)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(moves=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=8))
def test_once_something_good_was_served_something_good_always_is(
    deploy, tmp_path, moves, promote, models
):
    """Whatever is promoted, good or broken: served is the newest champion that loads."""
    source = LocalModelSource(
        DeployedModels(tmp_path / "models"), AGENT, trial=refuse_nan, metrics=PrometheusMetrics()
    )
    models.pointer(AGENT).unlink(missing_ok=True)
    expected = None
    for number, (good, look) in enumerate(moves, start=1):
        version = deploy(AGENT, number, b"" if good else b"NaN")
        promote(version)
        if look or number == len(moves):
            source.refresh()
            expected = version if good else expected
    if expected is None:
        with pytest.raises(ModelRefused):
            source.current(AGENT)
    else:
        assert source.current(AGENT).version == expected
