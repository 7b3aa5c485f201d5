"""examples/deploy/: the command line takes what is there, times and ports fit, and those who check such files agree."""

from __future__ import annotations

import asyncio
import configparser
import importlib.metadata
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

click = pytest.importorskip("click", reason="click is not installed")
pytest.importorskip("rich", reason="rich is not installed")

from eslcodec.cli import command_line  # noqa: E402  # it needs both

FOLDER = Path(__file__).parents[2] / "examples" / "deploy"
UNITS = ["eslcodec-record", "eslcodec-bridge"]
SECRETS = ("password_file", "nats_creds", "nats_nkey", "tls_ca", "tls_cert", "tls_key")

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="examples/ is in the checkout only")


@pytest.fixture
def parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the command line makes of words; files with secrets are taken for files that are there."""
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    secret.chmod(0o600)

    def parse(words: list[str]) -> dict[str, Any]:
        group = command_line()
        command = group.get_command(click.Context(group), words[0])
        assert command is not None, words
        options = [one for one in command.params if isinstance(one, click.Option)]
        takes = {name: one.name in SECRETS for one in options for name in one.opts if not one.is_flag}
        there = [
            f"{name}={secret}" if takes.get(name) else word for word, name in each_with_its_option(words[1:], takes)
        ]
        return dict(command.make_context(words[0], there).params)

    return parse


def each_with_its_option(words: list[str], takes: Collection[str]) -> list[tuple[str, str]]:
    """`--name value` and `--name=value` as the latter, with the name; other words with none."""
    found: list[tuple[str, str]] = []
    rest = iter(words)
    for word in rest:
        name, equals, _ = word.partition("=")
        if name not in takes:
            found.append((word, ""))
        else:
            found.append((word if equals else f"{word}={next(rest)}", name))
    return found


def unit(name: str) -> configparser.ConfigParser:
    read = configparser.ConfigParser(interpolation=None, strict=True)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    read.read_string((FOLDER / f"{name}.service").read_text().replace("\\\n", ""))
    return read


def words_of(name: str) -> list[str]:
    program, *words = shlex.split(unit(name)["Service"]["ExecStart"].replace("%%", "%"))
    assert program == "/opt/eslcodec/bin/eslcodec"
    return words


# systemd


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_says_what_a_service_of_ours_is(name: str, parsed: Any) -> None:
    service = unit(name)["Service"]
    assert parsed(words_of(name))["hosts"] == ("fs1=10.0.0.1", "fs2=10.0.0.2")
    assert (service["Type"], service["User"], service["StateDirectory"]) == ("notify", "eslcodec", "eslcodec")
    assert service["StateDirectoryMode"] == "0700"
    assert int(service["WatchdogSec"]) >= 30
    assert (service["NoNewPrivileges"], service["ProtectSystem"]) == ("yes", "strict")


def test_both_units_use_one_folder_and_different_ports(parsed: Any) -> None:
    record, bridge = (parsed(words_of(name)) for name in UNITS)
    assert record["folder"] == bridge["source"] == "/var/lib/eslcodec/rec"
    assert record["events"] == ("CALLS",)
    assert (record["listen"], bridge["listen"]) == (("127.0.0.1", 9821), ("127.0.0.1", 9108))
    assert record["hosts"] == bridge["hosts"]


def test_systemd_waits_longer_than_the_bridge_does(parsed: Any) -> None:
    bridge = parsed(words_of("eslcodec-bridge"))
    assert int(unit("eslcodec-bridge")["Service"]["TimeoutStopSec"]) >= 2 * bridge["drain"]


def test_the_bridge_begins_after_the_recorder_and_does_not_end_with_it() -> None:
    said = unit("eslcodec-bridge")["Unit"]
    assert "eslcodec-record.service" in said["After"].split()
    assert "eslcodec-record.service" in said["Wants"].split()
    assert "Requires" not in said
    assert "BindsTo" not in said


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    paths = []
    for name in UNITS:
        paths.append(tmp_path / f"{name}.service")
        text = (FOLDER / f"{name}.service").read_text()
        paths[-1].write_text(text.replace("/opt/eslcodec/bin/eslcodec", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


# Docker


def instructions() -> list[tuple[str, str]]:
    """(instruction, what follows) of each."""
    text = (FOLDER / "Dockerfile").read_text()
    joined = re.sub(r"\\\n", "", "".join(line for line in text.splitlines(True) if not line.startswith("#")))
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def test_the_image_has_extras_that_there_are() -> None:
    (install,) = re.findall(r"eslcodec\[([a-z,]+)\]==\$\{VERSION\}", (FOLDER / "Dockerfile").read_text())
    try:
        extras = importlib.metadata.metadata("eslcodec").get_all("Provides-Extra") or []
        version = importlib.metadata.version("eslcodec")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("eslcodec is imported from a folder, not installed")
    assert set(install.split(",")) == {"cli", "record", "nats", "metrics"} <= set(extras)
    assert ("ARG", f"VERSION={version}") in instructions()


def test_the_image_runs_the_command_without_a_shell_and_without_root(parsed: Any) -> None:
    said = instructions()
    names = [name for name, _ in said]
    entry, command = (json.loads(rest) for name, rest in said if name in ("ENTRYPOINT", "CMD"))
    assert entry == ["/opt/eslcodec/bin/eslcodec"]
    with pytest.raises(click.exceptions.Exit):
        parsed(command)  # --help
    users = [rest for name, rest in said if name == "USER"]
    assert users == ["10001"]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert ("STOPSIGNAL", "SIGTERM") in said
    assert all(re.fullmatch(r"\S+:\d[\w.-]*( AS \w+)?", rest) for name, rest in said if name == "FROM")
    assert "ENV" not in names  # where secrets would be


def test_the_command_in_the_dockerfile_fits_its_volume_and_port(
    parsed: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    comment = [line[1:] for line in (FOLDER / "Dockerfile").read_text().splitlines() if line.startswith("#   ")]
    words = shlex.split(comment[0].rstrip("\\ ") + comment[1])
    options = parsed(words[words.index("eslcodec") + 1 :])
    said = dict(instructions())
    assert options["folder"].startswith(said["VOLUME"] + "/")
    assert words[words.index("-v") + 1].partition(":")[2] == said["VOLUME"]
    assert options["listen"] == ("0.0.0.0", int(said["EXPOSE"]))
    assert words[words.index("-p") + 1] == "127.0.0.1:9108:9108"
    (stop,) = re.findall(r"docker stop --time (\d+)", comment[2])
    assert int(stop) >= 2 * options["drain"]


def test_hadolint_has_nothing_to_say() -> None:
    beside = Path(sys.executable).with_name("hadolint")
    hadolint = shutil.which("hadolint") or (str(beside) if beside.exists() else None)
    if hadolint is None:
        pytest.skip("there is no hadolint")
    done = subprocess.run([hadolint, FOLDER / "Dockerfile"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


# Kubernetes


@pytest.fixture(scope="module")
def documents() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return {one["kind"]: one for one in yaml.safe_load_all((FOLDER / "statefulset.yaml").read_text())}


@pytest.fixture(scope="module")
def pod(documents: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = documents["StatefulSet"]["spec"]["template"]["spec"]
    return found


@pytest.fixture
def options(pod: dict[str, Any], parsed: Any) -> dict[str, Any]:
    found: dict[str, Any] = parsed(pod["containers"][0]["args"])
    return found


def test_the_labels_and_names_of_the_set_fit(documents: dict[str, Any]) -> None:
    spec, service = documents["StatefulSet"]["spec"], documents["Service"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    assert spec["serviceName"] == service["metadata"]["name"]
    assert spec["replicas"] == 1


def test_probes_and_ports_fit_what_is_listened_on(
    pod: dict[str, Any], options: dict[str, Any], documents: dict[str, Any]
) -> None:
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert options["listen"] == ("0.0.0.0", ports["metrics"])
    assert [port["port"] for port in documents["Service"]["spec"]["ports"]] == [ports["metrics"]]
    probes = {name: container[name]["httpGet"] for name in container if name.endswith("Probe")}
    assert {name: probe["path"] for name, probe in probes.items()} == {
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    assert {probe["port"] for probe in probes.values()} == {"metrics"}


def test_what_is_probed_answers(pod: dict[str, Any]) -> None:
    pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")
    from metrics_support import asked

    from eslcodec.ingest import Health, Metrics

    paths = [probe["httpGet"]["path"] for name, probe in pod["containers"][0].items() if name.endswith("Probe")]

    async def test() -> list[int]:
        async with Health(Metrics({}), port=0) as health:
            port = int(health.url.rpartition(":")[2].strip("/"))
            return [(await asyncio.to_thread(asked, port, path))[0] for path in paths]

    assert asyncio.run(test()) == [200, 200]


def test_kubernetes_waits_longer_than_the_bridge_does(pod: dict[str, Any], options: dict[str, Any]) -> None:
    assert pod["terminationGracePeriodSeconds"] >= 2 * options["drain"]


def test_what_is_recorded_is_on_the_volume(
    pod: dict[str, Any], options: dict[str, Any], documents: dict[str, Any]
) -> None:
    (claim,) = documents["StatefulSet"]["spec"]["volumeClaimTemplates"]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert Path(options["folder"]).parent == Path(mounts[claim["metadata"]["name"]])
    assert claim["spec"]["accessModes"] == ["ReadWriteOncePod"]
    assert {*mounts} <= {claim["metadata"]["name"], *(volume["name"] for volume in pod["volumes"])}


def test_secrets_are_files_that_only_we_read(pod: dict[str, Any]) -> None:
    (copy,), (container,) = pod["initContainers"], pod["containers"]
    given = [word.partition("=")[2] for word in container["args"] if word.startswith("--") and "/secrets/" in word]
    assert copy["command"][:5] == ["install", "-m", "0600", "-t", "/secrets"]
    assert sorted(Path(path).name for path in copy["command"][5:]) == sorted(Path(path).name for path in given)
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "secrets"]
    assert volume["emptyDir"]["medium"] == "Memory"
    for each in (copy, container):
        assert each["securityContext"]["readOnlyRootFilesystem"] is True
        assert each["securityContext"]["allowPrivilegeEscalation"] is False
        assert "env" not in each


def test_the_user_is_that_of_the_image(pod: dict[str, Any]) -> None:
    context = pod["securityContext"]
    assert context["runAsNonRoot"] is True
    assert [context["runAsUser"], context["fsGroup"]] == [int(dict(instructions())["USER"])] * 2


def test_kubernetes_takes_the_set() -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed")
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    for document in yaml.safe_load_all((FOLDER / "statefulset.yaml").read_text()):
        validate.validate(document, validate.latest_version(), strict=True)
