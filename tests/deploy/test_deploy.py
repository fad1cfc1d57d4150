"""What can be checked of deploy/ without a container engine, and with the real checkers."""

import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import redis
import yaml
from dagster._config import process_config
from dagster._core.instance.config import dagster_instance_config_schema
from redis.backoff import NoBackoff
from redis.retry import Retry

from adapters.bus.rabbitmq_session import LOG_BYTES
from adapters.embedded.programs import find_valkey
from domain.messages import MAXIMUM_MESSAGE_BYTES
from domain.metrics import Metric
from domain.producers import Producer
from domain.settings import setting_names
from domain.voting import AgentId

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
INSTALLED = Path(sys.executable).parent
"""Where the development dependencies are, whether or not the environment is on the path."""

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is in the Debian package prometheus"
)


def run(*command):
    done = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_s_recipe_has_no_findings():
    run(INSTALLED / "hadolint", "--failure-threshold", "info", "Dockerfile")


def test_the_compose_file_keeps_to_the_compose_specification():
    run(INSTALLED / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")


@needs_promtool
def test_prometheus_accepts_its_configuration_and_rules():
    run("promtool", "check", "config", "prometheus/prometheus.yml")


@needs_promtool
def test_the_alerts_fire_when_they_should_and_not_else():
    run("promtool", "test", "rules", "prometheus/alerts_test.yml")


def test_every_alert_has_a_test():
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    tests = yaml.safe_load((DEPLOY / "prometheus/alerts_test.yml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"]}
    fired = {
        case["alertname"]
        for test in tests["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert fired == alerts


def test_alerts_name_metrics_and_labels_that_exist():
    specs = {metric.value.name: metric.value for metric in Metric}
    text = (DEPLOY / "prometheus/alerts.yml").read_text()
    named = set(re.findall(r"quorum_\w+", text))
    assert named
    assert named <= specs.keys()
    labels = {label for name in named for label in specs[name].labels} | {"instance"}
    assert set(re.findall(r"\$labels\.(\w+)", text)) <= labels
    for selected in re.findall(r"by \(([\w, ]+)\)", text):
        assert set(selected.split(", ")) <= labels


def test_prometheus_scrapes_every_process_on_the_port_it_listens_on():
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "quorum"]
    targets = {target for group in job["static_configs"] for target in group["targets"]}
    port = SERVICES["consensus"]["environment"]["QUORUM_METRICS_PORT"]
    expected = {f"{name}:{port}" for name in ("consensus", "gateway", "projections")}
    expected |= {"review:3030"}
    expected |= {f"{agent.replace('_', '-')}:8080" for agent in AgentId}
    assert targets == expected


def test_every_agent_has_a_service_that_serves_it():
    for agent in AgentId:
        command = SERVICES[agent.replace("_", "-")]["command"]
        assert command == ["python", "-m", "serving", str(agent), "--port=8080"]


def test_who_serves_and_who_asks_has_the_token_of_the_agents_and_nobody_else():
    said = subprocess.run(["sh", DEPLOY / "secrets.sh"], capture_output=True, text=True, check=True)
    assert "QUORUM_SERVING__TOKEN=" in said.stdout
    holders = {
        name
        for name, service in SERVICES.items()
        if "QUORUM_SERVING__TOKEN" in service.get("environment", {})
    }
    agents = {agent.replace("_", "-") for agent in AgentId}
    assert holders == agents | {"dagster-webserver", "dagster-daemon"}


def test_settings_in_the_compose_file_and_the_image_exist():
    names = {
        name
        for service in SERVICES.values()
        for name in service.get("environment", {})
        if name.startswith("QUORUM_")
    }
    names |= set(
        re.findall(r"^\s+(?:ENV )?(QUORUM_\w+)=", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    )
    assert {"QUORUM_LEDGER_URL", "QUORUM_PROFILE"} <= names <= setting_names().keys()


def test_no_secret_is_written_down():
    for file in DEPLOY.rglob("*"):
        if file.is_file():
            for value in re.findall(r"(?i)passw\w*\s*[:=]\s*(\S+)", file.read_text()):
                assert value.startswith(("${QUORUM_DATABASE_PASSWORD:?", "$(openssl")), file
            assert not re.search(r"://[^/\s:]+:[^/\s@$]+@", file.read_text()), file


def test_only_loopback_is_published_and_every_service_is_checked():
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        assert service["healthcheck"]["test"][0] == "CMD", name
        assert service["restart"] == "unless-stopped", name


def test_every_dependency_is_waited_for_until_it_is_healthy():
    for service in SERVICES.values():
        for upstream, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in SERVICES[upstream]


def test_mounted_files_exist():
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists()
            else:
                assert source in COMPOSE["volumes"]


def test_the_image_is_made_of_every_package_of_the_product():
    kept = set(
        re.findall(r"^!(\w+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    assert packages <= kept


def test_dagster_reads_its_instance_s_configuration(monkeypatch):
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://quorum@record/dagster")
    config = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    assert process_config(dagster_instance_config_schema(), config).success


def test_every_process_logs_in_to_the_bus_as_itself_and_only_its_secret_lets_it(tmp_path):
    """The list of the compose file, with the secrets of the script, on a real server."""
    said = subprocess.run(["sh", DEPLOY / "secrets.sh"], capture_output=True, text=True, check=True)
    secrets = dict(line.split("=") for line in said.stdout.splitlines())
    assert len(set(secrets.values())) == len(secrets) == 2 + len(Producer)
    assert {f"BUS_SECRET_{p.upper()}" for p in Producer} == {
        name for name in SERVICES["bus"]["environment"] if name.startswith("BUS_SECRET_")
    }
    for name, service in SERVICES.items():
        if url := service.get("environment", {}).get("QUORUM_BUS_URL"):
            user = re.search(r"redis://(\w+):\$\{BUS_SECRET_(\w+)\}@bus", url)
            assert user, name
            assert user[1].upper() == user[2]
            own = name.replace("-", "_")
            assert user[1] == (own if own in list(Producer) else "operator")

    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "valkey-server").symlink_to(find_valkey())
    socket = tmp_path / "bus"
    server = subprocess.Popen(
        ["sh", DEPLOY / "valkey/start.sh", "--port", "0", "--unixsocket", socket, "--save", ""],
        env=os.environ
        | secrets
        | {"PATH": f"{programs}:{os.environ['PATH']}", "BUS_ENTRY_POINT": "env"},
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    try:
        while not socket.exists():
            assert server.poll() is None
            time.sleep(0.01)

        def bus(user: str | None = None, secret: str | None = None) -> redis.Redis:
            once = Retry(NoBackoff(), 0)
            return redis.Redis(
                unix_socket_path=str(socket), username=user, password=secret, retry=once
            )

        for producer in Producer:
            with bus(producer, secrets[f"BUS_SECRET_{producer.upper()}"]) as client:
                assert client.ping()
            with bus(producer, "guessed") as client, pytest.raises(redis.AuthenticationError):
                client.ping()
        with bus("risk_manager", secrets["BUS_SECRET_RISK_MANAGER"]) as agent:
            agent.xadd("quorum:votes:0", {"data": "x"})
            with pytest.raises(redis.exceptions.NoPermissionError):
                agent.xadd("quorum:decisions:0", {"data": "x"})
        with bus() as anybody, pytest.raises(redis.AuthenticationError):
            anybody.ping()
    finally:
        server.terminate()
        server.wait()


def test_what_a_bus_drops_unread_is_alarmed_long_before():
    """RabbitMQ drops by bytes, not by what is on record: the lag is told of first."""
    rules = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())
    [lag] = [r for g in rules["groups"] for r in g["rules"] if r.get("alert") == "StreamLag"]
    messages = int(lag["expr"].rpartition(">")[2])
    assert messages * MAXIMUM_MESSAGE_BYTES < LOG_BYTES / 2
