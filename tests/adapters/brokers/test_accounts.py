"""Accounts at venues outside: which are opened, and what is checked first."""

from datetime import timedelta

import pytest

from adapters.brokers.accounts import check_account, outside_broker
from adapters.http_server import bind, http_server
from adapters.live_switch import LiveSwitch
from domain.errors import ConfigurationError, EnvironmentProblem, LiveTradingRefused
from domain.settings import Settings, VenueSettings
from tests.adapters.brokers.alpaca_server import KEY, SECRET, AlpacaServer


def settings_of(tmp_path, **venue):
    named = {"name": "alpaca", "key": KEY, "secret": SECRET} | venue
    return Settings(home=tmp_path, venue=VenueSettings(**named))


def test_the_paper_venue_is_nobody_s_account(tmp_path):
    assert outside_broker(Settings(home=tmp_path)) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": ""}, "no keys"),
        ({"url": "https://api.alpaca.markets"}, "real money"),
        ({"url": "http://paper-api.alpaca.markets"}, "unencrypted"),
        ({"name": "binance"}, "no pairs"),
        ({"name": "binance", "url": "https://api.binance.com"}, "real money"),
        ({"name": "okx", "url": "http://www.okx.com"}, "unencrypted"),
        ({"name": "okx", "live": True}, "trades no real money"),
        ({"live": True}, "address of paper accounts"),
        ({"live": True, "name": "paper"}, "trades no real money"),
        ({"live": True, "url": "http://api.alpaca.markets"}, "unencrypted"),
    ],
)
def test_what_may_not_be_opened_is_refused_without_showing_the_keys(tmp_path, changes, said):
    with pytest.raises(ConfigurationError, match=said) as refused:
        outside_broker(settings_of(tmp_path, **changes))
    assert SECRET not in str(refused.value)


async def test_a_state_folder_stays_with_its_account_and_waits_for_a_right_clock(tmp_path):
    server = AlpacaServer()
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        settings = settings_of(tmp_path, url=f"http://127.0.0.1:{port}")
        broker = outside_broker(settings)
        try:
            await check_account(broker, settings)
            await check_account(broker, settings)
            server.clock = timedelta(seconds=30)
            with pytest.raises(EnvironmentProblem, match=r"-(30|29)\.\d s off"):
                await check_account(broker, settings)
            server.account = "PA999"
            with pytest.raises(ConfigurationError, match="PA123"):
                await check_account(broker, settings)
        finally:
            await broker.close()


async def test_an_account_with_real_money_starts_only_once_the_switch_is_on(tmp_path):
    server = AlpacaServer()
    async with http_server(server.app, bind("127.0.0.1", 0)) as port:
        settings = settings_of(tmp_path, url=f"http://127.0.0.1:{port}", live=True)
        switch, broker = LiveSwitch(settings), outside_broker(settings)
        try:
            with pytest.raises(LiveTradingRefused, match="Nobody"):
                await check_account(broker, settings)
            assert not (tmp_path / "venue.json").exists()
            switch.keep("first", decisions=50, trades=30, unexplained=0)
            switch.enable(server.account, "ada", "why")
            await check_account(broker, settings)
            server.account = "PA999"
            with pytest.raises(LiveTradingRefused, match="PA999"):
                await check_account(broker, settings)
        finally:
            await broker.close()


def test_the_live_address_opens_with_the_setting(tmp_path):
    assert outside_broker(settings_of(tmp_path, live=True, url="https://api.alpaca.markets"))


@pytest.mark.parametrize(
    ("name", "address"),
    [("binance", "https://testnet.binance.vision/api/v3"), ("okx", "https://www.okx.com")],
)
async def test_an_exchange_is_opened_for_play_money(tmp_path, name, address):
    broker = outside_broker(settings_of(tmp_path, name=name, symbols=("BTC/USDT",)))
    api = broker._api
    await broker.close()
    path = api.urls["api"][{"binance": "private", "okx": "rest"}[name]]
    assert path.replace("{hostname}", api.hostname or "") == address
    assert (api.headers.get("x-simulated-trading") == "1") is (name == "okx")


@pytest.mark.parametrize("symbols", [("BTC/USDT", "BTC/USDC"), ("BTC",), ("BTC/USDT", "ETH/EUR")])
def test_pairs_that_share_a_balance_are_refused(symbols):
    with pytest.raises(ValueError, match="one of each first currency"):
        VenueSettings(symbols=symbols)
