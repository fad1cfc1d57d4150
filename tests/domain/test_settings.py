import pytest

from domain.errors import ConfigurationError
from domain.settings import as_environment, load_settings, setting_names


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QUORUM_SEED", "11")
    monkeypatch.setenv("QUORUM_TRADING__STARTING_CASH", "5000.50")
    settings = load_settings(partitions=4)
    assert settings.seed == 11
    assert str(settings.trading.starting_cash) == "5000.50"
    assert settings.partitions == 4


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("QUORUM_SEEED", "1", "Did you mean QUORUM_SEED"),
        ("QUORUM_SEED", "seven", "QUORUM_SEED has a wrong value"),
        ("QUORUM_PARTITIONS", "0", "QUORUM_PARTITIONS has a wrong value"),
        ("QUORUM_TRADING__PRICE_COLLAR", "wide", "QUORUM_TRADING__PRICE_COLLAR has a wrong value"),
        ("QUORUM_PROFILE", "cloud", "embedded"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
):
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert says in str(caught.value)


def test_every_setting_is_documented():
    assert all(setting_names().values())


def test_no_secret_shows_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QUORUM_LEDGER_URL", "postgresql+psycopg://user:hunter2@localhost/quorum")
    assert "hunter2" not in repr(load_settings())


def test_a_child_process_reads_the_same_settings(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("QUORUM_LEDGER_URL", "postgresql+psycopg://user:hunter2@localhost/quorum")
    settings = load_settings(
        seed=11,
        clock="event",
        profile="services",
        promotion={"trial": ("SHADOW", "CANARY_5")},
        trading={"sectors": {"IBM": "technology"}},
    )
    for name, value in as_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings
