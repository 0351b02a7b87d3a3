"""What the deployment's files promise to the platform, to the settings and to each other."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

from service import protocol
from service.settings.load import Loaded, load_settings
from service.settings.table import Settings

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")
SPECS = ("s.yaml", "s.image.yaml")
FILES = (*LOCKS, "Dockerfile", ".dockerignore", *SPECS, "Makefile", ".ci/run")


def text(name: str) -> str:
    """A file of the project."""
    return (ROOT / name).read_text()


def strict(schema: Any) -> Any:
    """The same schema, refusing every key that it does not name."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    # "if" asks a question of some keys: there the others have to be let through.
    parts = {key: value if key == "if" else strict(value) for key, value in schema.items()}
    if isinstance(parts.get("properties"), dict) and parts.get("type") == "object":
        parts.setdefault("additionalProperties", False)
    return parts


def complaints(props: dict[str, Any]) -> list[str]:
    """What the strict schema says against a function's `props`."""
    validator = Draft7Validator(strict(json.loads(text("service/emulator/fc3-schema.json"))))
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(props)]


def filled(name: str) -> dict[str, Any]:
    """The whole of a file of Serverless Devs, with its variables put in."""
    raw = yaml.safe_load(text(name))
    whole = re.sub(r"\$\{vars\.(\w+)\}", lambda name: str(raw["vars"][name[1]]), text(name))
    return dict(yaml.safe_load(whole))


@pytest.fixture(params=SPECS)
def name(request: pytest.FixtureRequest) -> str:
    """A file of Serverless Devs: the function as code, and as an image."""
    return str(request.param)


@pytest.fixture
def spec(name: str) -> dict[str, Any]:
    """The whole of it."""
    return filled(name)


@pytest.fixture
def props(spec: dict[str, Any]) -> dict[str, Any]:
    """Its function."""
    (resource,) = spec["resources"].values()
    return dict(resource["props"])


def runtime_of(props: dict[str, Any]) -> dict[str, Any]:
    """What is said of the start, for code or for an image."""
    return dict(props.get("customRuntimeConfig") or props["customContainerConfig"])


@pytest.fixture
def told(props: dict[str, Any], tmp_path: Path) -> Loaded:
    """What the service reads on an instance of this function."""
    platform = {
        "FC_CUSTOM_LISTEN_PORT": str(runtime_of(props)["port"]),
        "FC_FUNCTION_HANDLER": props["handler"],
        "FC_FUNCTION_MEMORY_SIZE": str(props["memorySize"]),
    }
    return load_settings({}, platform | props["environmentVariables"], tmp_path)


class TestSpec:
    """s.yaml and s.image.yaml."""

    def test_explains_each_key(self, name: str) -> None:
        """On its line, or in the line above it."""
        for above, line in pairwise(text(name).splitlines()):
            if re.match(r" *(- )?\w+:", line):
                assert "# " in line or above.strip().startswith("# "), line

    def test_is_for_the_component_fc3(self, spec: dict[str, Any]) -> None:
        """Serverless Devs 3 deploys it with the component fc3."""
        (resource,) = spec["resources"].values()
        assert (spec["edition"], resource["component"]) == ("3.0.0", "fc3")

    def test_satisfies_the_schema(self, props: dict[str, Any]) -> None:
        """The platform's schema has nothing against it, and knows every key."""
        assert complaints(props) == []

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"instanceConcurency": 5}, "$: Additional properties"),
            ({"instanceConcurrency": 201}, "$.instanceConcurrency: 201 is greater"),
            ({"instanceLifecycleConfig": {"preFreeze": {}}}, "$.instanceLifecycleConfig: Add"),
            ({"customRuntimeConfig": {"prt": 1}}, "$.customRuntimeConfig: Additional"),
            ({"customContainerConfig": {"img": "a"}}, "$.customContainerConfig: Additional"),
            ({"environmentVariables": {"A": 1}}, "$.environmentVariables.A: 1 is not"),
            ({"runtime": "custom.debian99"}, "$.runtime: 'custom.debian99' is not one of"),
        ],
    )
    def test_schema_is_strict(
        self, props: dict[str, Any], change: dict[str, Any], complaint: str
    ) -> None:
        """A key that is misspelt and a value out of range would be found."""
        assert any(each.startswith(complaint) for each in complaints(props | change))

    def test_serves_a_hundred_calls_at_once(self, props: dict[str, Any], told: Loaded) -> None:
        """The platform's concurrency and the service's are the same."""
        assert props["instanceConcurrency"] == told.settings.concurrency == 100
        assert told.sources["concurrency"] == "environment SERVICE_CONCURRENCY"

    def test_names_the_hooks_as_the_service_finds_them(
        self, props: dict[str, Any], told: Loaded
    ) -> None:
        """Under these names, or under those of the settings."""
        hooks = props["instanceLifecycleConfig"]
        assert hooks["initializer"]["handler"] == (told.settings.initializer or "initialize")
        assert hooks["preStop"]["handler"] == (told.settings.pre_stop or "pre_stop")

    def test_starts_this_service(self, props: dict[str, Any], told: Loaded) -> None:
        """On the default port: the runtime's own Python does, or what the image runs by itself."""
        runtime = runtime_of(props)
        started = ["python3", "-P", "-m", "fc_event_service"]
        code = "code" in props
        assert runtime.get("command", []) + runtime.get("args", []) == started * code
        assert "entrypoint" not in runtime
        assert runtime["port"] == told.settings.port == Settings().port
        assert told.settings.host == "0.0.0.0"

    def test_names_the_sample_handler(self, told: Loaded) -> None:
        """What is deployed first is the sample in index.py."""
        assert told.settings.handlers == ("index.handler",)
        assert (ROOT / "index.py").is_file()

    def test_hooks_outlast_the_service(self, props: dict[str, Any], told: Loaded) -> None:
        """Each hook's time-out is longer than the service's own, and allowed by the platform."""
        hooks = props["instanceLifecycleConfig"]
        assert told.settings.initialize_timeout < hooks["initializer"]["timeout"] <= 300
        assert told.settings.drain_timeout < hooks["preStop"]["timeout"] <= 90

    def test_stop_waits_for_the_longest_call(self, props: dict[str, Any], told: Loaded) -> None:
        """A call may take its whole time while the instance stops."""
        assert props["timeout"] <= told.settings.drain_timeout

    def test_health_is_asked_where_it_is_answered(self, props: dict[str, Any]) -> None:
        """The health check asks the service's path, within the platform's limits."""
        check = runtime_of(props)["healthCheckConfig"]
        assert check["httpGetUrl"] == protocol.HEALTH_PATH
        assert 1 <= check["timeoutSeconds"] <= 3
        assert 1 <= check["periodSeconds"] <= 120

    def test_memory_holds_the_budget(self, props: dict[str, Any], told: Loaded) -> None:
        """Half of the memory is left beside the events, and there is 1 to 4 GB for each vCPU."""
        assert told.settings.body_budget <= props["memorySize"] * 1024**2 // 2
        assert 1 <= props["memorySize"] / 1024 / props["cpu"] <= 4
        assert props["diskSize"] in (512, 10240)

    def test_has_no_http_trigger(self, props: dict[str, Any]) -> None:
        """It is an event function."""
        triggers = [each["triggerType"] for each in props.get("triggers", [])]
        assert "http" not in triggers

    def test_commented_parts_are_right_too(self, name: str, props: dict[str, Any]) -> None:
        """What a user may uncomment satisfies the schema as well."""
        lines = text(name).split("never through an HTTP trigger.\n")[1]
        trigger = yaml.safe_load(re.sub(r"^ *# ?", "", lines, flags=re.MULTILINE))
        assert complaints(props | trigger) == []
        keys = re.findall(r"^      # ((?:layers|role): \S.*)", text(name), re.MULTILINE)
        assert len(keys) == (2 if "code" in props else 1)  # an image has no layers
        assert complaints(props | yaml.safe_load("\n".join(keys))) == []


class TestEachSpec:
    """What s.yaml and s.image.yaml have for themselves, and that all else is the same."""

    def test_is_bundled_for_its_runtime(self) -> None:
        """`s deploy` bundles packages for the runtime's Python to where PYTHONPATH looks."""
        (resource,) = filled("s.yaml")["resources"].values()
        props = resource["props"]
        run = [each["run"] for each in resource["actions"]["pre-deploy"]]
        assert run == ["make bundle", "make check ARGS=--built"]
        assert props["runtime"] == "custom.debian12"
        assert re.search(r"^BUNDLE = 3\.11$", text("Makefile"), re.MULTILINE)
        assert props["code"] == "./build/code"
        assert "bundle $(FUNCTION) --requirements requirements.lock --python" in text("Makefile")
        assert props["environmentVariables"]["PYTHONPATH"] == "/code/python"

    def test_pushes_the_image_that_it_runs(self) -> None:
        """`s deploy` checks it, builds it and pushes it to the registry that it is taken from."""
        (resource,) = filled("s.image.yaml")["resources"].values()
        [checked, built] = resource["actions"]["pre-deploy"]
        assert checked["run"] == "make check ARGS=--spec=s.image.yaml"
        image = resource["props"]["customContainerConfig"]["image"]
        assert built["run"] == f"make push IMAGE={image.replace('registry-vpc.', 'registry.')}"
        assert re.search("^push: ", text("Makefile"), re.MULTILINE)

    def test_deploy_the_same_function(self) -> None:
        """Whichever is deployed, it has the same limits, hooks and settings."""
        apart = {"runtime", "code", "customRuntimeConfig", "customContainerConfig"}
        code, image = (
            {key: each for key, each in resource["props"].items() if key not in apart}
            for name in SPECS
            for resource in filled(name)["resources"].values()
        )
        for variable in ("PYTHONPATH", "PYTHONFAULTHANDLER"):  # the image's own
            del code["environmentVariables"][variable]
            assert f"{variable}=" in text("Dockerfile")
        assert code == image


class TestImage:
    """The Dockerfile."""

    @pytest.fixture
    def stages(self) -> list[list[str]]:
        """The instructions of each stage, one a line, without comments."""
        joined = re.sub(
            r"\\\n *", "", re.sub(r"^#.*\n", "", text("Dockerfile"), flags=re.MULTILINE)
        )
        return [part.strip().splitlines() for part in re.split(r"^FROM ", joined, flags=re.M)[1:]]

    def test_is_built_in_two_stages_of_one_base(self, stages: list[list[str]]) -> None:
        """Both stages begin with the slim image of a Python that all packages have wheels for."""
        assert [stage[0] for stage in stages] == [
            "python:3.14-slim-bookworm AS build",
            "python:3.14-slim-bookworm",
        ]

    def test_result_runs_nothing_while_it_is_built(self, stages: list[list[str]]) -> None:
        """No tool can get into the result: it is made of two copied folders."""
        assert [line.split()[0] for line in stages[1][1:]] == [
            *("COPY", "COPY", "ENV", "WORKDIR", "USER", "EXPOSE", "CMD")
        ]
        assert "apt-get" not in text("Dockerfile")

    def test_packages_are_checked_and_never_compiled(self, stages: list[list[str]]) -> None:
        """Packages are installed by the hashes of the lock file; the tool for it by its own."""
        (pip,) = (line for line in stages[0] if "pip install" in line)
        assert {"--require-hashes", "--only-binary", "requirements-uv.lock"} <= set(pip.split())
        assert "RUN python -m bundling.packages /packages requirements.lock" in stages[0]
        assert "RUN python -m bundling.pruning /packages" in stages[0]

    def test_needs_nothing_to_be_writable(self, stages: list[list[str]]) -> None:
        """Byte code is made beforehand, and none is written later."""
        assert any("compileall" in line and "unchecked-hash" in line for line in stages[0])
        (environment,) = (line for line in stages[1] if line.startswith("ENV"))
        assert {"PYTHONDONTWRITEBYTECODE=1", "PYTHONFAULTHANDLER=1"} <= set(environment.split())

    def test_serves_as_nobody(self, stages: list[list[str]]) -> None:
        """User 65534 runs the service in /code, on the default port."""
        assert "USER 65534:65534" in stages[1]
        assert "WORKDIR /code" in stages[1]
        assert f"EXPOSE {Settings().port}" in stages[1]
        assert 'CMD ["python", "-P", "-m", "fc_event_service"]' in stages[1]

    def test_has_the_service_among_the_packages(self, stages: list[list[str]]) -> None:
        """Its code lies in no folder that the function's files are in."""
        copies = [line.split()[1:] for line in stages[0] if line.startswith("COPY")]
        assert copies[-3:] == [
            ["service", "/packages/fc_event_service"],
            ["installed/service", "/packages/service"],
            ["${FUNCTION}", "/code"],
        ]

    def test_leaves_the_tooling_out(self) -> None:
        """Hidden files, tests and papers stay out of the image; the function's parts do not."""
        ignored = [line for line in text(".dockerignore").splitlines() if line[:1] != "#"]
        assert {".*", "tests", "docs", "build", "requirements-dev.lock"} <= set(ignored)
        assert {"venv", "env", "node_modules"} <= set(ignored)
        assert not {"service", "config", "index.py", "requirements.lock", "*"} & set(ignored)


class TestMakefile:
    """The Makefile, in a folder of its own."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        """What `make run` and `make bundle` start from."""
        for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-uv.lock"):
            shutil.copy(ROOT / name, tmp_path)
        return tmp_path

    @staticmethod
    def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What `make` does there, whatever the `make` was told that runs the tests."""
        return subprocess.run(
            ["make", *arguments],
            cwd=folder,
            env={**os.environ, "MAKEFLAGS": ""},
            capture_output=True,
            text=True,
            timeout=60,
        )

    @staticmethod
    def interpreter(path: Path) -> Path:
        """A Python of a version that is not supported, as far as `make` asks it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\nexit 1\n")
        path.chmod(0o755)
        return path

    def test_an_unsupported_python_makes_no_environment(self, folder: Path) -> None:
        """A PYTHON of another version is refused with one line that says what to do, and leaves
        nothing that the next command would fail on.
        """
        old = self.interpreter(folder / "old")
        done = self.make(folder, "run", f"PYTHON={old}")
        first, _from_make = done.stderr.splitlines()
        assert first.startswith(f"{old} is not a Python 3.11 to 3.15: ")
        assert done.returncode == 2
        assert not (folder / ".venv").exists()

    def test_an_environment_of_an_unsupported_python_is_told(self, folder: Path) -> None:
        """An environment that is there, of another version, ends the command with the way out."""
        self.interpreter(folder / ".venv" / "bin" / "python")
        done = self.make(folder, "run")
        first, _from_make = done.stderr.splitlines()
        assert first.startswith(".venv/bin/python is not a Python 3.11 to 3.15: 'make clean'")
        assert done.returncode == 2

    def test_a_python_that_no_runtime_has_is_brought_along(self, folder: Path) -> None:
        """A bundle for one needs to be told where it is, before anything is made."""
        built = ["-o", "build/uv/bin/uv", "-o", ".venv/run.stamp"]
        done = self.make(folder, "bundle", "BUNDLE=3.14", *built)
        assert "No runtime has Python 3.14: take BUNDLE=3.11, or bring one" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert not (folder / "build").exists()
        lines = self.make(
            folder, "-n", "bundle", "BUNDLE=3.14", "INTERPRETER=/somewhere", *built
        ).stdout
        assert "--python 3.14" in lines
        assert "--interpreter /somewhere" in lines

    def test_a_python_in_a_layer_is_not_in_the_package(self, folder: Path) -> None:
        """`make layer` makes the layer, which wants to be told where the Python is."""
        built = ["-o", "build/uv/bin/uv", "-o", ".venv/run.stamp"]
        done = self.make(folder, "layer", "BUNDLE=3.14", *built)
        assert "Name the Python: make layer BUNDLE=3.14 INTERPRETER=FOLDER" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        told = ["BUNDLE=3.14", "INTERPRETER=layer", *built]
        assert "--interpreter layer" in self.make(folder, "-n", "bundle", *told).stdout
        told[1] = "INTERPRETER=/somewhere"
        lines = " ".join(self.make(folder, "-n", "layer", *told).stdout.split())
        assert "bundle --layer --python 3.14 --interpreter /somewhere" in lines
        assert "--zip build/layer.zip" in lines

    @pytest.mark.parametrize(
        "file",
        [
            pytest.param("service.py", marks=pytest.mark.long),
            pytest.param("service/__init__.py", marks=pytest.mark.long),
            "service/orders.py",
        ],
    )
    def test_a_function_with_a_service_of_its_own_is_bundled(
        self, folder: Path, tmp_path_factory: pytest.TempPathFactory, file: str
    ) -> None:
        """The bundle has the function's own `service` beside its handler and ours among the
        packages; the command of s.yaml runs it there.
        """
        for tool in ("python", "uv"):  # the packages are the tests' own
            fake = folder / "build" / "uv" / "bin" / tool
            fake.parent.mkdir(parents=True, exist_ok=True)
            fake.write_text("#!/bin/sh\n")
            fake.chmod(0o755)
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (folder / ".venv" / "bin" / "python").chmod(0o755)
        shop = tmp_path_factory.mktemp("shop")
        (shop / file).parent.mkdir(exist_ok=True)
        (shop / file).write_text("PRICE = 7")
        module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        (shop / "index.py").write_text(
            f"import fc_event_service\nfrom {module} import PRICE\n"
            "def handler(event, context): return [PRICE, fc_event_service.__file__]\n"
        )
        built = ["-o", "build/uv/bin/uv", "-o", ".venv/run.stamp"]
        bundled = self.make(folder, "bundle", f"FUNCTION={shop}", *built)
        assert bundled.returncode == 0, bundled.stderr
        code = folder / "build" / "code"
        done = subprocess.run(
            [sys.executable, "-P", "-m", "fc_event_service", "invoke"],
            cwd=code,
            env={**os.environ, "PYTHONPATH": str(code / "python")},
            capture_output=True,
            timeout=60,
        )
        ours = str(code / "python" / "fc_event_service" / "__init__.py")
        assert json.loads(done.stdout) == [7, ours], done.stderr
        assert {each.name for each in code.iterdir()} - {"__pycache__"} == {
            *("bootstrap", "index.py", "python", file.split("/")[0])
        }


class TestLocks:
    """The lock files."""

    @staticmethod
    def pins(name: str) -> dict[str, str]:
        """Each package of a lock file with its version."""
        return dict(re.findall(r"^([\w.-]+)==(\S+)", text(name), re.MULTILINE))

    @pytest.mark.parametrize("name", LOCKS)
    def test_have_a_hash_for_each_package(self, name: str) -> None:
        """Each package is pinned with the hashes of its files."""
        blocks = re.split(r"^(?=\S)", re.sub(r"^ *#.*\n", "", text(name), flags=re.M), flags=re.M)
        assert len(self.pins(name)) == len(blocks) - 1
        assert all("--hash=sha256:" in block for block in blocks[1:])

    def test_agree_with_each_other(self) -> None:
        """The environment for work has what is deployed, in the same versions."""
        assert self.pins("requirements.lock").items() <= self.pins("requirements-dev.lock").items()

    def test_hold_what_the_project_names(self) -> None:
        """Each dependency of pyproject.toml is in its lock file."""
        project = tomllib.loads(text("pyproject.toml"))
        groups, extras = project["dependency-groups"], project["project"]["optional-dependencies"]
        dev = [*groups["load"], *(each for each in groups["dev"] if isinstance(each, str))]
        dev += [each for extra in extras.keys() - {"all"} for each in extras[extra]]
        for named, lock in ((project["project"]["dependencies"], LOCKS[0]), (dev, LOCKS[1])):
            names = {re.split(r"[\[<>=;]", each)[0].strip().lower() for each in named}
            assert names <= set(self.pins(lock))


@pytest.mark.parametrize("name", FILES)
def test_files_name_no_machine(name: str) -> None:
    """No file names a package registry's host or a path of one machine."""
    assert not re.search(r"pypi\.|index-url|find-links|/(?:root|home|work)/", text(name))
