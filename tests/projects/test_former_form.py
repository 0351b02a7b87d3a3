"""A project of Function Compute 2, from which most functions come, moves as one of 3 does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from service.emulator.spec.read import read
from service.errors import UsageError
from service.projects.former_form import in_todays_form, is_former_form
from service.projects.old_project import read_old_project
from tests.projects.old import HANDLER, old_project
from tests.projects.test_moving import run_new

FORMER = """\
edition: 1.0.0
name: shop
access: default
vars:
  region: cn-shanghai
  service:
    name: shop-service
    role: acs:ram::1000000000000000:role/shop
    internetAccess: true
    logConfig:
      project: shop-log
      logstore: calls
      enableRequestMetrics: true
    vpcConfig:
      vpcId: vpc-1
      securityGroupId: sg-1
      vswitchIds: [vsw-1]
services:
  orders:
    component: fc
    actions:
      pre-deploy:
        - run: pip install -t code -r requirements.txt
          path: ./
    props:
      region: ${vars.region}
      service: ${vars.service}
      function:
        name: orders
        description: books orders
        runtime: python3
        codeUri: ./code
        handler: index.handler
        initializer: index.set_up
        initializationTimeout: 30
        memorySize: 256
        timeout: 20
        caPort: 9000
        instanceType: e1
        environmentVariables:
          TABLE: orders
          SECRET: ${env('SHOP_SECRET', 'none')}
        instanceLifecycleConfig:
          preFreeze: {handler: index.freeze, timeout: 5}
          preStop: {handler: index.stop, timeout: 20}
        asyncConfiguration:
          destination:
            onFailure: acs:mns:cn-shanghai:1000000000000000:/queues/failed/messages
          maxAsyncRetryAttempts: 2
      triggers:
        - name: uploads
          type: oss
          role: acs:ram::1000000000000000:role/trigger
          config:
            bucketName: incoming
            events: ["oss:ObjectCreated:*"]
            filter:
              Key: {Prefix: in/, Suffix: .json}
        - name: nightly
          type: timer
          config: {cronExpression: "0 0 2 * * *", enable: true, payload: "{}"}
        - name: page
          type: http
          config: {authType: anonymous, methods: [GET]}
  site:
    component: website
    props: {bucket: pages}
"""
SOURCE = f"def set_up(context): ...\ndef stop(context): ...\ndef freeze(context): ...\n{HANDLER}"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A project of that kind."""
    return old_project(tmp_path, SOURCE, FORMER)


def moved_props(folder: Path, old: Path) -> dict[str, Any]:
    """The props of the new `s.yaml`, which is sound."""
    assert run_new(folder, "moved", "--from", str(old)) == 0
    place = folder / "moved" / "s.yaml"
    spec = read(place, code=folder / "moved" / "code", environ={})
    assert list(spec.functions) == ["moved"]
    found: dict[str, Any] = yaml.safe_load(place.read_text())["resources"]["moved"]["props"]
    return found


def test_all_that_it_says_of_the_function_is_taken_over(tmp_path: Path, old: Path) -> None:
    """What the service said for its functions, too; the new file is sound."""
    props = moved_props(tmp_path, old)
    assert (props["region"], props["memorySize"], props["timeout"]) == ("${vars.region}", 256, 20)
    assert props["role"] == "acs:ram::1000000000000000:role/shop"
    assert props["vpcConfig"]["vSwitchIds"] == ["vsw-1"]
    assert props["logConfig"]["logstore"] == "calls"
    variables = props["environmentVariables"]
    assert (variables["TABLE"], variables["SECRET"]) == ("orders", "${env('SHOP_SECRET', 'none')}")
    assert variables["SERVICE_INITIALIZER"] == "index.set_up"
    assert variables["SERVICE_PRE_STOP"] == "index.stop"
    hooks = props["instanceLifecycleConfig"]
    assert (hooks["initializer"]["timeout"], hooks["preStop"]["timeout"]) == (30, 20)
    assert props["asyncInvokeConfig"]["maxAsyncRetryAttempts"] == 2


def test_its_triggers_have_the_names_of_today(tmp_path: Path, old: Path) -> None:
    """And its HTTP trigger is left out, as one of Function Compute 3 is."""
    uploads, nightly = moved_props(tmp_path, old)["triggers"]
    assert uploads["triggerName"] == "uploads"
    assert uploads["invocationRole"].endswith("role/trigger")
    assert uploads["triggerConfig"]["filter"] == {"key": {"prefix": "in/", "suffix": ".json"}}
    assert uploads["sourceArn"].endswith(":incoming")
    assert nightly["triggerConfig"]["cronExpression"] == "0 0 2 * * *"


def test_what_is_no_more_is_told(
    tmp_path: Path, old: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A hook before each freeze, and the account that a bucket's trigger names today."""
    run_new(tmp_path, "moved", "--from", str(old), "--json")
    found = json.loads(capfd.readouterr().out)["findings"]
    said = [each["what"] for each in found if each["file"] == "s.yaml"]
    assert any("preFreeze" in what for what in said)
    assert any("HTTP trigger" in what for what in said)
    assert any("sourceArn" in what for what in said)


def test_one_of_several_functions_is_named(tmp_path: Path) -> None:
    """As for a file of today."""
    second = FORMER.replace("  site:\n    component: website\n    props: {bucket: pages}\n", "")
    first, _, orders = second.partition("services:\n")
    copied = orders.replace("  orders:", "  more:", 1).replace("name: orders", "name: more")
    old = old_project(tmp_path, SOURCE, f"{first}services:\n{orders}{copied}")
    with pytest.raises(UsageError, match=r"2 functions \(orders, more\): name one"):
        read_old_project(old)
    assert read_old_project(old, "more").props["functionName"] == "more"


def test_a_file_without_a_function_is_told(tmp_path: Path) -> None:
    """Only other components."""
    old = old_project(tmp_path, SOURCE, "edition: 1.0.0\nservices:\n  a: {component: website}\n")
    with pytest.raises(UsageError, match="no function"):
        read_old_project(old)


_TEXT = st.sampled_from(["fc", "devsapp/fc@1", "index.handler", "", "./code", "oss", "python3"])
_KEYS = st.sampled_from(
    [
        *("props", "component", "service", "function", "triggers", "config", "filter", "name"),
        *("vpcConfig", "initializer", "instanceLifecycleConfig", "asyncConfiguration"),
        "destination",
    ]
)
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=30,
)


@given(_ANYTHING)
@settings(max_examples=30, deadline=None)
def test_whatever_services_are_they_are_read(services: Any) -> None:
    """Into a mapping of resources, which is judged as any other is."""
    document = {"edition": "1.0.0", "services": services}
    assert is_former_form(document)
    found = in_todays_form(document)
    assert not is_former_form(found)
    assert found["edition"] == "3.0.0"
    assert isinstance(yaml.safe_dump(found), str)


def test_a_variable_that_names_itself_is_left_as_it_is() -> None:
    """As text, of which nothing is taken over."""
    loop = {"a": "${vars}", "b": ["${vars.b}"]}
    function = {"name": "f", "environmentVariables": "${vars.b}"}
    services = {"f": {"component": "fc", "props": {"function": function}}}
    found = in_todays_form({"vars": loop, "services": services})
    assert found["resources"]["f"]["props"]["functionName"] == "f"
