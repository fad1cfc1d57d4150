"""When a token is needed, and that a service does not listen for others without one."""

import pytest
from pydantic import SecretStr

from adapters.bearer import demand_token, is_loopback, is_token
from domain.errors import ConfigurationError

OWN = ["localhost", "127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1"]
OTHERS = ["0.0.0.0", "::", "", "10.0.0.1", "::ffff:10.0.0.1", "127.0.0.1.example", "quorum"]


@pytest.mark.parametrize("host", OWN)
def test_loopback_needs_no_token(host):
    assert is_loopback(host)
    demand_token(host, SecretStr(""))


@pytest.mark.parametrize("host", OTHERS)
def test_elsewhere_a_token_is_demanded(host):
    assert not is_loopback(host)
    with pytest.raises(ConfigurationError, match="no token is set") as refused:
        demand_token(host, SecretStr(""))
    assert "QUORUM_SERVING__TOKEN" in refused.value.next_step
    demand_token(host, SecretStr("a secret"))


@pytest.mark.parametrize("presented", ["", "a", "a secret ", "A secret", "a sécret"])
def test_another_token_is_not_it(presented):
    assert not is_token(presented, SecretStr("a secret"))


def test_an_empty_token_is_nobody_s():
    assert not is_token("", SecretStr(""))
    assert is_token("a secret", SecretStr("a secret"))
