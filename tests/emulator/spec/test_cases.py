"""Files as people write them: what Serverless Devs' own parser makes of each, we make of it too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from service.emulator.spec.model import Spec
from service.emulator.spec.read import read
from service.errors import UsageError
from tests import parse_spec
from tests.parse_spec import HERE, NAMES, copied, is_installed, recorded

ELSEWHERE = {"55-code-oss"}
"""Their code is in OSS: they need `--code`."""
LEFT_OUT = {"38-mixed": {"web"}, "66-other-components": {"domain"}}
"""Resources that are not played."""
NAMED = "resources.fn.props."
IMAGE = (
    "customContainerConfig.image: is not played, and what it runs is not known here: this service"
    " runs in its place"
)
NO_LANGUAGE = "runtime: 'nodejs20' brings a server of its own, and the function is left out"
AFTER = "is known after a deployment only: it stays as it is written"
QUOTES = "is text, read as"

WARNINGS: dict[str, list[str]] = {
    "10-oss-auto-args": ["ossMountConfig: is not played"],
    "11-nas-ids": ["nasConfig: is not played"],
    "13-dest-elsewhere": ["asyncInvokeConfig.destinationConfig.onFailure.destination: is not pl"],
    "14-eb-short": ["triggers[0]: does not fire on a desk"],
    "37-python-builtin": ["runtime: python3.10 is played by this service on Python 3."],
    "38-mixed": [f"resources.web.props.{NO_LANGUAGE}"],
    "39-container-noentry": [IMAGE],
    "46-gpu": ["gpuConfig: is not played"],
    "65-quoted-numbers": [
        "memorySize: '512' is text, read as a number: write it without quotes",
        "cpu: '0.5' is text, read as a number",
        "diskSize: '512' is text, read as a number",
        "timeout: '60' is text, read as a number",
        "instanceConcurrency: '10' is text, read as a number",
        "internetAccess: 'true' is text, read as true",
        "customRuntimeConfig.port: '9000' is text, read as a number",
        "customRuntimeConfig.command[2]: is not text, read as '1'",
        "environmentVariables.PORT: is not text, read as '8080': write it in quotes",
        "environmentVariables.DEBUG: is not text, read as 'true'",
        "environmentVariables.RATIO: is not text, read as '0.5'",
    ],
    "66-other-components": [
        "resources.domain.component: fc3-domain is not played",
        "triggers[0]: an http trigger is not played",
    ],
    "71-nothing": ["layers: is not played"],
    "72-after-a-deployment": [
        f"environmentVariables.URL: ${{resources.web.output.url.system_url}} {AFTER}",
        f"environmentVariables.INFO: ${{resources.web.info.url}} {AFTER}",
        f"environmentVariables.SELF: ${{self.a}} {AFTER}",
    ],
    "73-hooks-of-python": ["runtime: python3.12 is played by this service on Python 3."],
}
"""What each case is warned of; those that are not here, of nothing."""


def spec_of(name: str, folder: Path) -> Spec:
    """The case as we read it."""
    file = copied(name, folder)
    return read(file, code=file.parent / "code" if name in ELSEWHERE else None, environ={})


def without_nothing(value: Any) -> Any:
    """JSON has null for what a list of JavaScript has not."""
    if isinstance(value, list):
        return [without_nothing(each) for each in value if each is not None]
    if isinstance(value, dict):
        return {key: without_nothing(each) for key, each in value.items()}
    return value


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_read_as_serverless_devs_reads_it(name: str, tmp_path: Path) -> None:
    """Each function has the props that `parse-spec` comes to."""
    told = [
        step["props"]
        for step in recorded()[name]
        if step["projectName"] not in LEFT_OUT.get(name, ())
    ]
    functions = spec_of(name, tmp_path).functions
    ours = {
        function.name: json_text(function.props, tmp_path / name) for function in functions.values()
    }
    assert ours == {props["functionName"]: without_nothing(props) for props in told}


def json_text(value: Any, folder: Path) -> Any:
    """The value with the case's folder called HERE."""
    if isinstance(value, dict):
        return {key: json_text(each, folder) for key, each in value.items()}
    if isinstance(value, list):
        return [json_text(each, folder) for each in value]
    return value.replace(str(folder), HERE) if isinstance(value, str) else value


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_played_of_a_file_is_warned_of(name: str, tmp_path: Path) -> None:
    """A warning for each, and none for what changes nothing."""
    told = [line.removeprefix(NAMED) for line in spec_of(name, tmp_path).warnings]
    expected = WARNINGS.get(name, [])
    assert len(told) == len(expected)
    for line in expected:
        assert any(each.startswith(line) for each in told), line


def test_the_records_are_those_of_the_parser_that_is_here() -> None:
    """Where Node.js and the parser are, it is asked anew; elsewhere its last answers serve."""
    assert set(recorded()) == set(NAMES)
    if not is_installed():
        pytest.skip("Node.js, or what `make parse-spec` installs, is not here")
    assert parse_spec.parsed_cases() == recorded()


def test_code_in_oss_is_told_with_the_way_out(tmp_path: Path) -> None:
    """What the platform would fetch is not on this machine."""
    with pytest.raises(UsageError, match=r"s\.yaml:12:7: resources\.fn\.props\.code: is in OSS:"):
        read(copied("55-code-oss", tmp_path), environ={})


def test_a_file_of_function_compute_2_is_told_in_one_line(tmp_path: Path) -> None:
    """What turns it into one of Function Compute 3, and nothing of its contents."""
    (tmp_path / "s.yaml").write_text(
        "edition: 1.0.0\nname: app\nservices:\n  fn:\n    component: fc\n    props: {region: x}\n"
    )
    with pytest.raises(UsageError) as told:
        read(tmp_path / "s.yaml", environ={})
    assert str(told.value) == (
        f"{tmp_path}/s.yaml:3:1: services: is for Function Compute 2; `s cli fc3 s2tos3` turns the"
        " file into one for fc3"
    )
