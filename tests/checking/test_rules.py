"""Each rule: what it finds in a project that has one thing wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from service.checking.measured import Measured
from tests.checking.project import HANDLER, found, project, told
from tests.parse_spec import ROOT

HOOKS = {
    "initializer": {"handler": "initialize", "timeout": 20},
    "preStop": {"handler": "pre_stop", "timeout": 30},
}
TIMES = {"SERVICE_INITIALIZE_TIMEOUT": "15", "SERVICE_DRAIN_TIMEOUT": "25"}

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "fewer calls than the platform sends": (
        {"instanceConcurrency": 50},
        "warning concurrency instanceConcurrency: instanceConcurrency is 50, SERVICE_CONCURRENCY",
    ),
    "another port": (
        {"environmentVariables": {"SERVICE_PORT": "8000"}},
        "fault port customRuntimeConfig.port: the port is 9000, SERVICE_PORT is 8000: the",
    ),
    "a setting that is refused": (
        {"environmentVariables": {"SERVICE_CONCURRENCY": "many"}},
        "fault settings environmentVariables: environment SERVICE_CONCURRENCY",
    ),
    "an initializer that has more time than the platform gives": (
        {"instanceLifecycleConfig": {"initializer": {"handler": "initialize", "timeout": 20}}},
        "warning initialize_timeout instanceLifecycleConfig.initializer.timeout:",
    ),
    "a hook of another name": (
        {
            "instanceLifecycleConfig": {"initializer": {"handler": "index.setup", "timeout": 20}},
            "environmentVariables": TIMES,
        },
        "warning hooks instanceLifecycleConfig.initializer.handler: initializer.handler is",
    ),
    "a call that is longer than a stop waits": (
        {"instanceLifecycleConfig": HOOKS, "environmentVariables": TIMES, "timeout": 100},
        "warning drain_timeout timeout: a call may take 100 s, and a stop waits 25 s for it",
    ),
    "more events than memory": (
        {"environmentVariables": {"SERVICE_BODY_BUDGET": "400MiB"}},
        "warning body_budget memorySize: memorySize is 512 MB, SERVICE_BODY_BUDGET is 400MiB:",
    ),
    "an address that nobody reaches": (
        {"environmentVariables": {"SERVICE_HOST": "127.0.0.1"}},
        "fault host environmentVariables.SERVICE_HOST: host is 127.0.0.1 (environment",
    ),
    "a health check of a path that is not there": (
        {"customRuntimeConfig": {"healthCheckConfig": {"httpGetUrl": "/healthz"}}},
        "fault health customRuntimeConfig.healthCheckConfig.httpGetUrl: the service answers",
    ),
    "a server that closes idle connections": (
        {"customRuntimeConfig": {"command": ["/code/run.sh", "gunicorn"], "args": ["a:b"]}},
        "warning keep-alive customRuntimeConfig: gunicorn closes a connection that is idle for 2 s",
    ),
    "a runtime that there is not": (
        {"runtime": "custom.debain12"},
        "fault runtime runtime: there is no runtime custom.debain12",
    ),
    "a region that may not have the runtime": (
        {"region": "eu-west-1"},
        "warning region region: custom.debian12 was first offered in cn-beijing,",
    ),
    "a Python that is not on PATH": (
        {"runtime": "custom.debian11"},
        "fault python customRuntimeConfig.command: python3 is not on PATH in custom.debian11: its"
        " Python is /var/fc/lang/python3.12/bin/python3",
    ),
    "a Python that is too old": (
        {"runtime": "custom"},
        "fault python customRuntimeConfig.command: Python 3.7 runs it, and the service needs",
    ),
    "a Python of another runtime": (
        {"customRuntimeConfig": {"command": ["/var/fc/lang/python3.12/bin/python3"]}},
        "fault python customRuntimeConfig.command: /var/fc/lang/python3.12/bin/python3 is not in",
    ),
    "a PATH with a variable": (
        {"environmentVariables": {"PATH": "/code/bin:$PATH"}},
        "warning PATH environmentVariables.PATH: a $ is taken as it is written",
    ),
    "a PATH without the system": (
        {"environmentVariables": {"PATH": "/var/fc/lang/python3.13/bin"}},
        "warning PATH environmentVariables.PATH: has neither /usr/bin nor /bin",
    ),
    "a module that nothing brings": (
        {"environmentVariables": {"PYTHONPATH": "/code/lib"}},
        "warning command customRuntimeConfig.command: -m fc_event_service is not in this code",
    ),
    "a script that is not there": (
        {"customRuntimeConfig": {"args": ["app.py"]}},
        "fault command customRuntimeConfig.command: app.py is not in the code",
    ),
    "no command and no bootstrap": (
        {"customRuntimeConfig": {"command": None, "args": None}},
        "fault command customRuntimeConfig: /code/bootstrap is not in the code, which is started",
    ),
    "a handler that is not there": (
        {"handler": "app.main", "environmentVariables": {"SERVICE_HANDLER": "shop.main"}},
        "fault handler handler: there is no shop.main in the code: the service does not start",
    ),
    "another handler than the one that is named": (
        {"handler": "app.main"},
        "warning handler handler: app.main is not in the code: the service serves index.handler",
    ),
    "a payload that is too large": (
        {
            "triggers": [
                {
                    "triggerName": "t",
                    "triggerType": "timer",
                    "triggerConfig": {
                        "cronExpression": "@every 5m",
                        "enable": True,
                        "payload": "x" * 131_073,
                    },
                }
            ]
        },
        "fault event size triggers[0].triggerConfig.payload: the payload has 131,073 bytes, and",
    ),
    "an HTTP trigger": (
        {"triggers": [{"triggerName": "t", "triggerType": "http", "triggerConfig": {}}]},
        "warning triggers triggers[0]: an HTTP trigger's requests are refused by this service",
    ),
    "events that the platform does not send": (
        {
            "environmentVariables": {"SERVICE_MAX_BODY": "64MiB"},
            "memorySize": 1024,
        },
        "warning event size environmentVariables.SERVICE_MAX_BODY: max_body is 64MiB, and the",
    ),
    "more threads than an instance has": (
        {"environmentVariables": {"SERVICE_WORKERS": "10"}, "cpu": 8},
        "fault threads environmentVariables.SERVICE_WORKERS: 1220 threads at most: 0 for calls,",
    ),
    "sessions with another concurrency": (
        {"sessionAffinity": "GENERATED_COOKIE"},
        "warning concurrency instanceConcurrency: instanceConcurrency is 200, which session",
    ),
    "a built-in runtime": (
        {"runtime": "python3.10", "handler": "index.handler", "customRuntimeConfig": None},
        "warning runtime runtime: python3.10 runs the platform's own server, one call at a time",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_thing_that_is_wrong_is_found(case: str, tmp_path: Path) -> None:
    """It is told with its level, its line, both values, and what to do."""
    changes, expected = WRONG[case]
    pool = "from concurrent.futures import ThreadPoolExecutor\nPOOL = ThreadPoolExecutor(118)\n"
    files = {"code/pools.py": pool} if case.startswith("more threads") else {}
    run = tmp_path / "code" / "run.sh"
    run.parent.mkdir()
    run.write_text("#!/bin/sh\n")
    run.chmod(0o755)
    findings = found(project(tmp_path, changes, files))
    pairs = zip(findings, told(findings), strict=True)
    finding = next((each for each, line in pairs if line.startswith(expected)), None)
    assert finding is not None, "\n".join(told(findings))
    assert finding.remedy


def test_a_newer_runtime_is_not_called_wrong(tmp_path: Path) -> None:
    """What the platform may have learned meanwhile is said to be unknown."""
    findings = found(project(tmp_path, {"runtime": "custom.debian13"}))
    assert told(findings, "fault") == []
    assert any("is newer than what is known here" in line for line in told(findings, "unknown"))


def test_a_folder_of_path_has_its_python(tmp_path: Path) -> None:
    """`PATH` may name the runtime's own Python, as the platform's page says."""
    path = "/var/fc/lang/python3.12/bin:/usr/local/bin:/usr/bin:/bin"
    changes = {"runtime": "custom.debian11", "environmentVariables": {"PATH": path}}
    findings = found(project(tmp_path, changes))
    assert told(findings, "fault") == []
    assert any(line.endswith("Python 3.12 runs it") for line in told(findings, "ok"))


@pytest.mark.parametrize(
    ("path", "python"),
    [
        ("/code/python/bin:/var/fc/lang/python3.12/bin:/usr/bin", "Python 3.12"),
        ("/opt/bin:/var/fc/lang/python3.12/bin:/usr/bin", "an unknown Python"),
        ("/code/own:/var/fc/lang/python3.12/bin:/usr/bin", "an unknown Python"),
    ],
    ids=["of the runtime", "of a layer", "of its own"],
)
def test_a_server_of_a_package_runs_on_the_python_of_path(
    path: str, python: str, tmp_path: Path
) -> None:
    """Folders that have none are passed over; what a layer has is not known."""
    changes = {
        "runtime": "custom.debian11",
        "customRuntimeConfig": {"command": ["gunicorn"], "args": ["app:app"]},
        "environmentVariables": {"PATH": path},
    }
    findings = told(found(project(tmp_path, changes, {"code/own/python3": ""})))
    assert f"ok runtime runtime: custom.debian11: {python}" in findings


BOOTSTRAPS = {
    "not executable": ("#!/bin/bash\n", 0o644, "/code/bootstrap may not be executed"),
    "written on Windows": ("#!/bin/bash\r\npython3\r\n", 0o755, "lines that end as on Windows"),
    "without a first line": ("python3 -m x\n", 0o755, "/code/bootstrap has no #! line"),
}


@pytest.mark.parametrize("case", BOOTSTRAPS)
def test_a_bootstrap_that_cannot_be_run_is_a_fault(case: str, tmp_path: Path) -> None:
    """The three ways in which people's first one fails."""
    text, mode, expected = BOOTSTRAPS[case]
    changes = {"customRuntimeConfig": {"command": None, "args": None}}
    file = project(tmp_path, changes)
    (tmp_path / "code" / "bootstrap").write_bytes(text.encode())
    (tmp_path / "code" / "bootstrap").chmod(mode)
    (line,) = told(found(file), "fault")
    assert expected in line


# --- what is measured


def measured(**figures: Any) -> Measured:
    """Figures of a run."""
    return Measured("3.13", **{"memory": 60.0, "threads": 3, **figures})


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        (
            {"initialize_time": 31.0},
            "fault initializer instanceLifecycleConfig.initializer.timeout: initializer took",
        ),
        (
            {"initialize_time": 12.0},
            "warning initializer instanceLifecycleConfig.initializer.timeout: initializer took",
        ),
        (
            {"initialize_time": 1.0},
            "ok initializer instanceLifecycleConfig.initializer.timeout: initializer took 1.00 s",
        ),
        ({}, "ok initializer instanceLifecycleConfig.initializer.timeout: the function has none"),
        (
            {"pre_stop_time": 29.0},
            "warning preStop instanceLifecycleConfig.preStop.timeout: preStop took 29.00 s here",
        ),
        ({"memory": 600.0}, "fault memory memorySize: 600 MB before the first call, of 512 MB"),
        ({"memory": 300.0}, "warning memory memorySize: 300 MB before the first call, of 512 MB"),
        (
            {"failure": "it fails"},
            "unknown initializer instanceLifecycleConfig.initializer.timeout: the initializer is",
        ),
    ],
    ids=["slow", "near", "quick", "none", "stop", "no memory", "little memory", "failed"],
)
def test_what_was_measured_is_held_against_the_file(
    figures: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    """Time-outs and memory, with what a start has taken here."""
    file = project(tmp_path, {"instanceLifecycleConfig": HOOKS, "environmentVariables": TIMES})
    lines = told(found(file, measured=measured(**figures)))
    assert [line for line in lines if line.startswith(expected)], "\n".join(lines)


# --- credentials


USES = "def handler(event, context):\n    return context.credentials.access_key_id\n"
ROLE = "acs:ram::1:role/fn"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "warning credentials role: context.credentials is used, and without a role"),
        ({"role": ROLE}, "ok credentials role: each call brings the role's"),
        (
            {"role": ROLE, "disableInjectCredentials": "All"},
            "warning credentials disableInjectCredentials: ",
        ),
        (
            {
                "role": ROLE,
                "runtime": "custom.debian11",
                "customRuntimeConfig": {"command": ["/var/fc/lang/python3.12/bin/python3"]},
            },
            "warning credentials runtime: custom.debian11 sends no security token with a call",
        ),
    ],
    ids=["no role", "role", "removed", "no token"],
)
def test_credentials_are_there_if_they_are_used(
    changes: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    """By a header of each call, which one runtime does not send."""
    lines = told(found(project(tmp_path, changes, {"code/index.py": USES})))
    assert [line for line in lines if line.startswith(expected)], "\n".join(lines)


# --- events


def test_an_event_that_is_too_large_is_told(tmp_path: Path) -> None:
    """For a function whose trigger is asynchronous, for any call, and for no call."""
    trigger = {
        "triggerName": "t",
        "triggerType": "oss",
        "triggerConfig": {"events": ["oss:ObjectCreated:*"], "filter": {"key": {}}},
    }
    events = [("small", 1000), ("large", 200_000), ("huge", 40 * 1024**2)]
    plain = told(found(project(tmp_path), events=events))
    assert {line.partition(",")[0] for line in plain if " event size " in line} == {
        "warning event size triggers: has 200",
        "fault event size triggers: has 41",
        "ok event size triggers: has 1",
    }
    with_trigger = told(found(project(tmp_path, {"triggers": [trigger]}), events=events), "fault")
    assert len(with_trigger) == 2
    assert any("triggers of this function (oss) cannot send it" in line for line in with_trigger)


# --- the code


def minor_of(version: int) -> dict[str, Any]:
    """A runtime with that Python."""
    if version == 12:
        command = {"command": ["/var/fc/lang/python3.12/bin/python3"]}
        return {"runtime": "custom.debian11", "customRuntimeConfig": command}
    return {}


@pytest.mark.parametrize(
    ("source", "since"),
    [
        ("type Row = dict[str, int]\n", 12),
        ("def first[T](rows: list[T]) -> T: ...\n", 12),
        ("NAME = f'{\"a\" + f'{1}'}'\n", 12),
        ("NAME = f'{'a'}'\n", 12),
        ("NAME = f'''{\n'\\n'.join([])}'''\n", 12),
        ("class Box[T = int]: ...\n", 13),
    ],
    ids=["type", "parameters", "nested", "quotes", "backslash", "default"],
)
def test_syntax_that_is_newer_than_the_runtimes_python_is_a_fault(
    source: str, since: int, tmp_path: Path
) -> None:
    """It is told with the line, before an instance would fail to import it."""
    if sys.version_info.minor < since:
        pytest.skip("this Python cannot read it either")
    older = minor_of(12) if since == 13 else {}
    file = project(tmp_path, older, {"code/rows.py": f"\n{source}"})
    (line,) = told(found(file), "fault")
    assert line.startswith(("fault syntax rows.py:2: ", "fault syntax rows.py:3: "))
    assert "does not read this" in line


def test_syntax_that_the_runtimes_python_reads_is_none(tmp_path: Path) -> None:
    """f-strings, matches and groups of exceptions of 3.11."""
    source = (
        "NAME = f\"{'a'} {1:>{2}} {'b'!r}\"\n"
        "match NAME:\n    case 'x': ...\n"
        "try: ...\nexcept* ValueError: ...\n"
        "LONG = f'''{NAME} it's'''\n"
    )
    findings = found(project(tmp_path, {}, {"code/names.py": source}))
    assert told(findings, "fault") == []


def test_a_syntax_error_is_a_fault_if_the_python_here_may_judge(tmp_path: Path) -> None:
    """What this Python cannot read, an older one cannot."""
    file = project(tmp_path, minor_of(11), {"code/broken.py": "def f(:\n"})
    (line,) = told(found(file), "fault")
    assert line.startswith("fault syntax broken.py:1: syntax error: ")


def test_files_that_are_not_the_functions_are_not_read(tmp_path: Path) -> None:
    """Packages beside the code, environments, tests and hidden folders."""
    broken = "def f(:\n"
    names = ("python/x-1.dist-info/y.py", "env/pyvenv.cfg", "env/a.py", "tests/t.py", ".git/g.py")
    files = {f"code/{name}": broken for name in (*names, "python/p.py", "node_modules/n.py")}
    assert told(found(project(tmp_path, {}, files)), "fault") == []


def test_code_that_calls_would_meet_in_is_told_if_an_instance_has_several(tmp_path: Path) -> None:
    """With its line and advice; at one call at a time nothing is said."""
    source = "import os\n\ndef handler(event, context):\n    os.chdir('/tmp')\n"
    files = {"code/index.py": source}
    (finding,) = [each for each in found(project(tmp_path, {}, files)) if each.rule == "many calls"]
    assert (finding.level, finding.where) == ("warning", "index.py:4")
    assert finding.remedy
    alone = {"instanceConcurrency": 1, "environmentVariables": {"SERVICE_CONCURRENCY": "1"}}
    assert told(found(project(tmp_path, alone, files)), "warning") == []


def test_a_module_that_python_has_no_more_is_told(tmp_path: Path) -> None:
    """Unless the function has a module of that name itself."""
    source = HANDLER + "import distutils, cgi\nimport imp\n"
    file = project(tmp_path, minor_of(12), {"code/index.py": source, "code/imp.py": ""})
    lines = [line for line in told(found(file), "warning") if " imports " in line]
    assert lines == ["warning imports index.py:3: Python 3.12 has no distutils any more"]


# --- packages


LOCK = "aiohttp==3.14.5 \\\n    --hash=sha256:00\nOrJson==3.11.4 \\\n    --hash=sha256:00\n"


def installed(name: str, version: str, *tags: str) -> dict[str, str]:
    """A package beside the code."""
    wheel = "".join(f"Tag: {each}\n" for each in tags)
    return {f"code/python/{name}-{version}.dist-info/WHEEL": f"Wheel-Version: 1.0\n{wheel}"}


@pytest.mark.parametrize(
    ("tag", "is_right"),
    [
        ("cp311-cp311-manylinux_2_17_x86_64", True),
        ("cp39-abi3-manylinux2014_x86_64", True),
        ("py3-none-any", True),
        ("py2.py3-none-any", True),
        ("cp313-cp313-manylinux_2_17_x86_64", False),
        ("cp311-cp311-macosx_11_0_arm64", False),
        ("cp311-cp311-musllinux_1_2_x86_64", False),
        ("cp312-abi3-manylinux_2_17_x86_64", False),
        ("cp311-cp311-manylinux_2_39_x86_64", False),
    ],
)
def test_a_package_is_for_the_python_of_the_runtime(
    tag: str, is_right: bool, tmp_path: Path
) -> None:
    """By the tags of the wheel that it came as."""
    findings = found(project(tmp_path, {}, installed("orjson", "3.11.4", tag)))
    faults = told(findings, "fault")
    assert bool(faults) is not is_right, faults
    assert all(line.endswith(": orjson 3.11.4") for line in faults)


@pytest.mark.parametrize(
    ("name", "is_right"),
    [
        ("cpython-311-x86_64-linux-gnu", True),
        ("abi3", True),
        ("cpython-312-x86_64-linux-gnu", False),
        ("cpython-311-x86_64-linux-musl", False),
    ],
)
def test_a_package_without_its_notes_is_judged_by_its_modules(
    name: str, is_right: bool, tmp_path: Path
) -> None:
    """`make bundle` leaves out the wheel's tags, and keeps the list of files."""
    record = {"code/python/orjson-3.11.4.dist-info/RECORD": f"orjson/orjson.{name}.so,,\n"}
    assert bool(told(found(project(tmp_path, {}, record)), "fault")) is not is_right


def test_the_bootstrap_of_the_bundle_says_which_python_it_runs(tmp_path: Path) -> None:
    """A function without a command is started by it."""
    changes = {"customRuntimeConfig": {"command": None, "args": None}}
    file = project(tmp_path, {"runtime": "custom.debian11", **changes})
    bootstrap = tmp_path / "code" / "bootstrap"
    text = (ROOT / "service" / "bundling" / "bootstrap").read_text()
    bootstrap.write_text(text.replace("@VERSION@", "3.12"))
    bootstrap.chmod(0o755)
    findings = told(found(file))
    assert "ok runtime runtime: custom.debian11: Python 3.12" in findings
    assert not [line for line in findings if line.startswith("fault")]


def test_a_function_that_the_bundles_bootstrap_starts_is_checked_as_ours(tmp_path: Path) -> None:
    """Its settings, and the packages beside it, which no variable names then."""
    changes = {
        "customRuntimeConfig": {"command": None, "args": None},
        "environmentVariables": {"SERVICE_PORT": "8000", "PYTHONPATH": None},
    }
    files = installed("orjson", "3.11.4", "cp312-cp312-manylinux_2_17_x86_64")
    file = project(tmp_path, changes, files)
    bootstrap = tmp_path / "code" / "bootstrap"
    bootstrap.write_text(
        (ROOT / "service" / "bundling" / "bootstrap").read_text().replace("@VERSION@", "3.11")
    )
    bootstrap.chmod(0o755)
    assert {each.rule for each in found(file) if each.level == "fault"} == {"port", "packages"}


def test_a_handler_in_a_folder_of_pythonpath_is_found(tmp_path: Path) -> None:
    """As Python finds it; what a layer may have is not known."""
    changes: dict[str, Any] = {
        "handler": "shop:App.run",
        "environmentVariables": {"PYTHONPATH": "/code/python:/code/src"},
    }
    files = {"code/src/shop.py": "class App:\n    @staticmethod\n    def run(e, c): ...\n"}
    (row,) = [each for each in found(project(tmp_path, changes, files)) if each.rule == "handler"]
    assert (row.level, row.where) == ("ok", "src/shop.py:1")
    changes["environmentVariables"] = {"PYTHONPATH": "/code/python:/opt/python"}
    changes["handler"] = None
    (tmp_path / "code" / "index.py").unlink()
    file = project(tmp_path, changes)
    (tmp_path / "code" / "index.py").unlink()
    (row,) = [each for each in found(file) if each.rule == "handler"]
    assert row.level == "unknown"


def test_a_lock_that_is_stale_is_told(tmp_path: Path) -> None:
    """What is asked for and not locked is a fault, another version a warning."""
    files = {
        "requirements.lock": LOCK,
        "requirements.txt": "# ours\naiohttp>=3\norjson==3.10.0\nhttpx[http2]~=0.28\n-r more\n",
        "pyproject.toml": '[project]\nname = "x"\ndependencies = ["PyYAML>=6", "orjson"]\n',
    }
    findings = found(project(tmp_path, {}, files))
    lock = [line for line in told(findings) if " lock " in line]
    assert lock == [
        "fault lock requirements.txt:4: httpx~=0.28 is asked for and not in requirements.lock: it"
        " would not be deployed",
        "fault lock pyproject.toml: PyYAML>=6 is asked for and not in requirements.lock: it would"
        " not be deployed",
        "warning lock requirements.txt:3: orjson==3.10.0 is asked for, requirements.lock has"
        " 3.11.4",
    ]


def test_a_bundle_that_is_older_than_the_lock_is_told(tmp_path: Path) -> None:
    """`make bundle` was not run again."""
    files = {"requirements.lock": LOCK, **installed("orjson", "3.11.0", "py3-none-any")}
    (line,) = told(found(project(tmp_path, {}, files)), "warning")
    assert line.endswith("older or newer than the lock: orjson 3.11.0 (locked 3.11.4)")


def test_what_is_only_locked_is_told_as_far_as_it_is_known(tmp_path: Path) -> None:
    """Compiled packages that are here for another Python may have no wheel for the runtime's."""
    findings = found(project(tmp_path, {}, {"requirements.lock": LOCK}))
    rows = [line for line in told(findings) if " packages " in line]
    level = "ok" if sys.version_info[:2] == (3, 11) else "unknown"
    assert len(rows) == 1
    assert rows[0].startswith(f"{level} packages requirements.lock: ")


def test_a_project_for_another_python_is_told(tmp_path: Path) -> None:
    """`requires-python` against the Python of the runtime."""
    files = {"pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.12,<4"\n'}
    (line,) = told(found(project(tmp_path, {}, files)), "warning")
    assert line.endswith("requires-python is '>=3.12,<4', and Python 3.11 runs it")
