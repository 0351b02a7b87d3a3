"""Sessions of a function: which instance each is bound to, and until when."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from service.emulator.calls import PlatformError
from service.emulator.instances.sessions import Sessions
from service.emulator.spec.sessions import SessionAffinity
from tests.emulator.play import Play, function, playing


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Standin:
    """An instance, as sessions see it."""

    takes_calls = True


def sessions(**fields: Any) -> tuple[Sessions, Clock, Any]:
    clock = Clock()
    return Sessions(SessionAffinity(**{"header": "x-session"} | fields), clock), clock, Standin()


def test_a_session_lasts_while_it_is_used() -> None:
    """Its idle time begins anew after each call, and does not run during one; its life has an end
    all the same.
    """
    found, clock, instance = sessions(ttl=100.0, idle=10.0)
    found.bind("a", instance)
    for _ in range(3):
        found.begin("a")
        clock.now += 20
        assert found.named("a") == "a"
        assert found.instance_of("a") is instance
        found.end("a")
        clock.now += 9
    assert found.held_until(instance) == clock.now + 1
    found.begin("a")
    clock.now += 13
    found.named("a")
    assert found.instance_of("a") is None
    found.end("a")
    assert found.held_until(instance) == 0.0


def test_a_session_that_is_not_used_ends() -> None:
    """Its place is another's then."""
    found, clock, instance = sessions(idle=10.0, per_instance=1)
    found.bind("a", instance)
    assert not found.has_place(instance)
    clock.now += 10
    assert found.has_place(instance)
    assert found.named("a") == "a"
    assert found.instance_of("a") is None


def test_a_function_without_affinity_has_no_sessions() -> None:
    """Whatever a call names, it is of none, and no instance is kept for it."""
    found = Sessions(None, Clock())
    assert [found.named(given) for given in (None, "", "a", "not sound")] == [None] * 4
    instance: Any = Standin()
    assert found.held_until(instance) == 0.0


def test_an_id_may_be_used_again_unless_the_file_says_otherwise() -> None:
    """With `disableSessionIdReuse` one that has ended is refused; others are not."""
    for reuse in (True, False):
        found, clock, instance = sessions(idle=0.0, reuse=reuse)
        found.bind("a", instance)
        clock.now += 1
        if reuse:
            assert found.named("a") == "a"
            continue
        with pytest.raises(PlatformError, match="'a' has ended, and disableSessionIdReuse is set"):
            found.named("a")
        assert found.named("b") == "b"


@pytest.mark.parametrize("given", ["-a", "a b", "a" * 65, "\r\nx: y", "é"])
def test_an_id_that_the_platform_does_not_take(given: str) -> None:
    """It is refused with 400, and never reaches an instance."""
    found, _, _ = sessions()
    with pytest.raises(PlatformError) as caught:
        found.named(given)
    assert (caught.value.status, caught.value.code) == (400, "InvalidArgument")


def test_a_new_session_has_an_id_of_its_own() -> None:
    """Each is another, and is one that the platform takes."""
    found, _, _ = sessions()
    made = {found.named("") for _ in range(100)}
    assert len(made) == 100
    assert {found.named(each) for each in made} == made


# --- in a pool


def played(**fields: Any) -> Any:
    return function(concurrency=200, sessions=SessionAffinity(**{"header": "x-session"} | fields))


async def instance_of(play: Play, session: str) -> str:
    outcome = await play.call(session=session)
    assert outcome.error_type == ""
    assert outcome.session == session
    return outcome.instance_id


async def test_calls_of_a_session_go_to_one_instance() -> None:
    """Sessions share an instance up to the limit, and stay where they are; a call without a name
    gets a new session, one of none goes anywhere.
    """
    async with playing(played(per_instance=2), max_instances=2) as play:
        first = [await instance_of(play, name) for name in ("a", "b", "c", "a", "b", "c")]
        assert first[:3] == first[3:]
        assert first[0] == first[1] != first[2]
        made = await play.call(session="")
        assert made.instance_id == first[2]
        assert await instance_of(play, made.session) == first[2]
        assert (await play.call()).session == ""
        with pytest.raises(PlatformError) as caught:
            await play.call(session="e")
        assert caught.value.status == 429


@pytest.mark.parametrize(
    ("header", "sent"),
    [("X-Session", ["X-Session", "a"]), ("", ["Cookie", "x-fc-cookie-session-id=a"])],
)
async def test_an_instance_is_told_the_session(header: str, sent: list[str]) -> None:
    """In the header field of the file, or as the platform's cookie; other calls have neither."""
    async with playing(played(header=header)) as play:
        assert sent in json.loads((await play.call("headers", session="a")).body)
        names = {name for name, _ in json.loads((await play.call("headers")).body)}
        assert sent[0] not in names


async def test_an_instance_is_kept_while_it_has_sessions() -> None:
    """One without a call is stopped once its last session has ended."""
    async with playing(played(idle=0.2), idle_timeout=0.01) as play:
        await play.call(session="a")
        await play.log.wait_for("it had no call for")
        await play.log.wait_for("has ended")
    async with playing(played(idle=60.0), idle_timeout=0.01) as play:
        assert await instance_of(play, "a") == await instance_of(play, "a")
        assert play.pool.started == 1


async def test_a_session_whose_instance_is_gone_begins_anew() -> None:
    """Its next call is bound to another instance, and stays there."""
    async with playing(played()) as play:
        before = await instance_of(play, "a")
        play.instance.kill("the test says so")
        await play.log.wait_for("has ended")
        after = await instance_of(play, "a")
        assert after != before
        assert await instance_of(play, "a") == after


async def test_a_full_instance_refuses_its_sessions_calls(tmp_path: Path) -> None:
    """A session's call beyond the instance's calls is refused (429); a new session gets an instance
    of its own.
    """
    affinity = SessionAffinity(header="x-session")
    async with playing(function(concurrency=1, sessions=affinity), max_instances=2) as play:
        await play.call(session="a")
        running = play.begin(f"until {tmp_path / 'go'}", session="a")
        await asyncio.sleep(0)
        with pytest.raises(PlatformError, match="the instance of the session 'a' has 1 calls"):
            await play.call(session="a")
        other = await play.call(session="b")
        (tmp_path / "go").touch()
        assert (await running).instance_id != other.instance_id


async def test_a_handler_of_ours_knows_its_session(tmp_path: Path) -> None:
    """Sessions that share an instance share its module."""
    (tmp_path / "index.py").write_text(
        "seen = []\n"
        "async def handler(event, context):\n"
        "    seen.append(context.session_id)\n"
        "    return seen\n"
    )
    ours = function(
        code=tmp_path,
        command=("python", "-m", "service"),
        concurrency=200,
        environment={"SERVICE_SESSION_HEADER": "x-session"},
        sessions=SessionAffinity("X-Session"),
    )
    async with playing(ours) as play:
        for name in ("a", "b", "a"):
            outcome = await play.call(session=name)
        assert json.loads(outcome.body) == ["a", "b", "a"]
