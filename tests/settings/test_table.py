"""What each source may say, which one wins, and how a wrong word is answered.

`python -m tests.settings.test_table` writes config/service.toml and the table of docs/settings.md
anew.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.context.call import Platform
from service.errors import StartError, UsageError
from service.settings.flags import add_setting_flags, settings_help
from service.settings.kinds import MIB, plain, size, size_text, typed
from service.settings.load import Loaded, load_settings, show
from service.settings.rows import Row
from service.settings.sources import SOURCE_OPTIONS
from service.settings.table import ROWS, Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A working directory with an empty `config/`."""
    (tmp_path / "config").mkdir()
    return tmp_path


def write(desk: Path, text: str, name: str = "service") -> None:
    """Write a settings file in `config/`."""
    (desk / "config" / f"{name}.toml").write_text(text)


def read(
    desk: Path, environ: Mapping[str, str] | None = None, **flags: object
) -> tuple[Settings, Mapping[str, str]]:
    """What is loaded at this desk."""
    loaded = load_settings(flags, environ or {}, desk)
    return loaded.settings, loaded.sources


def refusal(
    desk: Path, environ: Mapping[str, str] | None = None, *, exit_code: int = 2, **flags: object
) -> str:
    """The one line with which loading is refused."""
    with pytest.raises(StartError) as caught:
        load_settings(flags, environ or {}, desk)
    assert caught.value.exit_code == exit_code
    line = str(caught.value)
    assert line.isprintable(), "it is one line"
    return line


class TestDefaults:
    """Nothing is said of anything."""

    def test_need_no_config_directory(self, tmp_path: Path) -> None:
        """A directory without `config/` is served with the defaults."""
        settings, sources = read(tmp_path)
        assert settings == Settings()
        assert {source.partition(":")[0] for source in sources.values()} == {"default"}

    def test_need_no_config_directory_where_a_file_has_its_name(self, tmp_path: Path) -> None:
        """A file that happens to be called `config` is passed over."""
        (tmp_path / "config").touch()
        assert read(tmp_path)[0] == Settings()

    @pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
    def test_are_allowed_values(self, row: Row) -> None:
        """Each default is in the range that the table gives, and is written as it is read."""
        if row.default is None and row.computed:
            return
        assert row.kind.read(typed(row.kind.write(row.default))) == row.default

    def test_cannot_be_changed(self) -> None:
        """Settings are frozen."""
        with pytest.raises(AttributeError):
            Settings().port = 1  # type: ignore[misc]  # that is what is tested

    def test_queue_is_as_long_as_the_concurrency(self, desk: Path) -> None:
        """A queue that is not set has the size of the concurrency."""
        assert read(desk, concurrency="7")[0].queue == 7
        assert read(desk, concurrency="7", queue="0")[0].queue == 0

    @pytest.mark.parametrize(
        ("memory", "budget"),
        [
            pytest.param("1024", 512 * MIB, id="half of the memory"),
            pytest.param("", 256 * MIB, id="512 MB when unknown"),
            pytest.param("a lot", 256 * MIB, id="512 MB when not a number"),
            pytest.param("128", 80 * MIB, id="never below max_body"),
        ],
    )
    def test_budget_follows_the_memory(self, desk: Path, memory: str, budget: int) -> None:
        """The body budget is half of the function's memory, and holds one body of the full size."""
        environ = {"FC_FUNCTION_MEMORY_SIZE": memory}
        settings, _ = read(desk, environ, max_body="80MiB" if memory == "128" else "32MiB")
        assert settings.body_budget == budget


class TestLayers:
    """Several sources speak of the same setting."""

    def test_win_in_order(self, desk: Path) -> None:
        """A flag wins over the environment, that over the profile, that over service.toml."""
        everything: dict[str, Any] = {"drain_timeout": "1", "profile": "local"}
        environ = {"SERVICE_DRAIN_TIMEOUT": "2"}
        write(desk, "drain_timeout = 3", "local")
        write(desk, "drain_timeout = 4")
        seen = []
        for leave_out in ("", "drain_timeout", "SERVICE_DRAIN_TIMEOUT", "profile"):
            everything.pop(leave_out, None)
            environ.pop(leave_out, None)
            settings, sources = read(desk, environ, **everything)
            seen.append((settings.drain_timeout, sources["drain_timeout"]))
        assert seen == [
            (1.0, "flag --drain-timeout"),
            (2.0, "environment SERVICE_DRAIN_TIMEOUT"),
            (3.0, "config/local.toml"),
            (4.0, "config/service.toml"),
        ]

    def test_port_also_comes_from_the_platform(self, desk: Path) -> None:
        """The platform's port stands between SERVICE_PORT and the files."""
        write(desk, "port = 5")
        flags: dict[str, Any] = {"port": "1"}
        environ = {
            "SERVICE_PORT": "2",
            "FC_CUSTOM_LISTEN_PORT": "3",
            "FC_SERVER_PORT": "4",
        }
        seen = [read(desk, environ, **flags)[0].port]
        flags.clear()
        for variable in tuple(environ):
            seen.append(read(desk, environ)[0].port)
            del environ[variable]
        seen.append(read(desk, environ)[0].port)
        assert seen == [1, 2, 3, 4, 5]

    def test_empty_variable_says_nothing(self, desk: Path) -> None:
        """An empty variable is as good as none."""
        environ = dict.fromkeys(
            ("SERVICE_PORT", "SERVICE_PROFILE", "SERVICE_CONFIG", "FC_SERVER_PORT"), ""
        )
        assert read(desk, environ)[0] == Settings()

    def test_other_flags_are_passed_over(self, desk: Path) -> None:
        """The command line's own flags are nobody's business here."""
        assert read(desk, command="serve", port=None)[0] == Settings()

    def test_wrong_value_is_refused_where_another_wins(self, desk: Path) -> None:
        """A wrong value in a file is told of even while a flag hides it."""
        write(desk, 'port = "many"')
        assert refusal(desk, port="1").startswith("config/service.toml: port = 'many'")


class TestHandler:
    """The names under which the handler is looked for."""

    @pytest.mark.parametrize(
        ("flag", "variable", "file", "handlers", "source"),
        [
            pytest.param(
                None, None, None, ("fc.main", "index.handler"), "default, after", id="default"
            ),
            pytest.param(
                None, None, "a.b", ("fc.main", "a.b"), "config/service.toml, after", id="file"
            ),
            pytest.param(
                None, "c:d", "a.b", ("c:d",), "environment SERVICE_HANDLER", id="variable"
            ),
            pytest.param("e.f", "c:d", "a.b", ("e.f",), "flag --handler", id="flag"),
            pytest.param(
                None, None, "fc.main", ("fc.main",), "config/service.toml, after", id="same"
            ),
        ],
    )
    def test_platform_is_asked_before_the_files(
        self,
        desk: Path,
        flag: str | None,
        variable: str | None,
        file: str | None,
        handlers: tuple[str, ...],
        source: str,
    ) -> None:
        """FC_FUNCTION_HANDLER is tried before file and default, and not at all when overruled."""
        write(desk, f'handler = "{file}"' if file else "")
        environ = {"FC_FUNCTION_HANDLER": "fc.main", "SERVICE_HANDLER": variable or ""}
        settings, sources = read(desk, environ, handler=flag)
        assert settings.handlers == handlers
        assert sources["handler"].startswith(source)

    def test_alone_is_the_only_one(self, desk: Path) -> None:
        """Without FC_FUNCTION_HANDLER only the configured name is looked for."""
        assert read(desk)[0].handlers == ("index.handler",)


class TestFiles:
    """Where settings' files are, and what is wrong with them."""

    @pytest.mark.parametrize("by", ["flag", "variable"])
    def test_directory_and_profile_are_named_both_ways(self, desk: Path, by: str) -> None:
        """`--config` and `--profile` do what SERVICE_CONFIG and SERVICE_PROFILE do."""
        (desk / "config").rename(desk / "elsewhere")
        (desk / "elsewhere" / "my.toml").write_text("port = 1")
        flags: dict[str, Any] = {"config": "elsewhere", "profile": "my"}
        environ = {f"SERVICE_{name.upper()}": word for name, word in flags.items()}
        settings, sources = read(desk, environ) if by == "variable" else read(desk, **flags)
        assert (settings.port, sources["port"]) == (1, "elsewhere/my.toml")

    def test_flag_names_them_before_the_variable(self, desk: Path) -> None:
        """A flag wins over the variable of the same option."""
        write(desk, "port = 1", "mine")
        assert read(desk, {"SERVICE_PROFILE": "other"}, profile="mine")[0].port == 1

    def test_outside_of_the_working_directory_are_named_whole(
        self, desk: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        """A file that is not below the working directory is shown with its whole path."""
        write(desk, "port = 1")
        _, sources = read(tmp_path_factory.mktemp("there"), config=str(desk / "config"))
        assert sources["port"] == str(desk / "config" / "service.toml")

    def test_missing_directory_is_refused(self, desk: Path) -> None:
        """A directory that is named and not there is an error."""
        assert (
            refusal(desk, config="confg") == "flag --config = 'confg': there is no such directory"
        )

    @pytest.mark.parametrize(
        ("profile", "hint"),
        [("locl", "; did you mean local?"), ("zzz", ""), ("../secret", "")],
    )
    def test_missing_profile_is_refused(self, desk: Path, profile: str, hint: str) -> None:
        """A profile without a file is an error that names those that have one."""
        write(desk, "", "local")
        write(desk, "")
        (desk / "secret.toml").touch()
        assert refusal(desk, {"SERVICE_PROFILE": profile}) == (
            f"environment SERVICE_PROFILE = '{profile}': no such profile in config"
            f"; allowed: local, service{hint}"
        )

    @pytest.mark.parametrize(
        ("data", "line"),
        [
            pytest.param(b"port = 1\nport", "not TOML: Expected '='", id="no value"),
            pytest.param(b"port = 1\nport = 2", "not TOML: Cannot overwrite", id="twice"),
            pytest.param(b'port = 1\nhost = """', "line 2, the end of the file", id="unfinished"),
            pytest.param(b"port = 1\n# \xff", "line 2: not UTF-8 text", id="not text"),
            pytest.param(b"port = " + b"9" * 5000, "not TOML: Exceeds", id="a huge number"),
            pytest.param(b"port = " + b"[" * 5000, "not TOML: maximum", id="a deep nest"),
        ],
    )
    def test_broken_file_is_refused(self, desk: Path, data: bytes, line: str) -> None:
        """A file that is not TOML is an error that names the file, and the line where it can."""
        (desk / "config" / "service.toml").write_bytes(data)
        message = refusal(desk)
        assert message.startswith("config/service.toml: ")
        assert line in message

    def test_unreadable_file_is_refused(self, desk: Path) -> None:
        """A file that cannot be read is an error that says why."""
        (desk / "config" / "service.toml").mkdir()
        assert refusal(desk, exit_code=3) == "config/service.toml: cannot be read: Is a directory"

    @pytest.mark.parametrize("part", ["config", "config/service.toml"])
    def test_link_that_leads_nowhere_is_refused(self, desk: Path, part: str) -> None:
        """Settings that a person has written are not passed over because a link is broken."""
        if part == "config":
            (desk / part).rmdir()
        (desk / part).symlink_to("gone")
        assert refusal(desk, exit_code=3) == (
            f"{part}: is a link to gone, which is not there: mend the link or remove it"
        )

    def test_link_to_itself_is_refused(self, desk: Path) -> None:
        """The reason that the system gives is in the line."""
        (desk / "config" / "service.toml").symlink_to("service.toml")
        assert refusal(desk, exit_code=3).startswith(
            "config/service.toml: cannot be read: Too many"
        )

    def test_byte_order_mark_is_no_fault(self, desk: Path) -> None:
        """A file that an editor began with a byte order mark is read."""
        (desk / "config" / "service.toml").write_bytes(b"\xef\xbb\xbfport = 1\r\n")
        assert read(desk)[0].port == 1


ALLOWED: list[tuple[str, str, object]] = [
    ("handler", "pkg.mod:attr", "pkg.mod:attr"),
    ("handler", "src/index.handler", "src/index.handler"),
    ("initializer", "none", "none"),
    ("pre_stop", "None", "none"),
    ("pre_freeze", "hooks.cool", "hooks.cool"),
    ("host", "::1", "::1"),
    ("host", "[::1]", "::1"),
    ("host", "*", "0.0.0.0"),
    ("port", " 0 ", 0),
    ("workers", "auto", "auto"),
    ("workers", "64", 64),
    ("timeout", "none", None),
    ("timeout", "1", 1.0),
    ("stall_after", "0", 0.0),
    ("drain_timeout", "0.5", 0.5),
    ("max_body", "1024", 1024),
    ("max_body", "64 mib", 64 * MIB),
    ("max_body", "1MB", 1_000_000),
    ("log_level", "debug", "DEBUG"),
    ("loop", "uvloop", "uvloop"),
    ("error_trace", "True", True),
    ("python_parser", "false", False),
]

REFUSED: list[tuple[str, str]] = [
    ("handler", "index"),
    ("handler", "true"),
    ("handler", "none"),
    ("host", "a b"),
    ("host", "[::1"),
    ("host", "*.*"),
    ("port", "65536"),
    ("port", "-1"),
    ("port", "9000.0"),
    ("port", "true"),
    ("port", "9" * 5000),
    ("concurrency", "0"),
    ("concurrency", "201"),
    ("queue", "10001"),
    ("workers", "Auto"),
    ("timeout", "0"),
    ("timeout", "inf"),
    ("timeout", "nan"),
    ("deadline_margin", "none"),
    ("max_body", "0"),
    ("max_body", "1.5MiB"),
    ("max_body", "32M"),
    ("max_body", "999999999999GiB"),
    ("log_level", "loud"),
    ("error_trace", "yes"),
    ("error_trace", "1"),
]


class TestValues:
    """What each setting takes."""

    @pytest.mark.parametrize("by", ["flag", "variable"])
    @pytest.mark.parametrize(("name", "text", "value"), ALLOWED)
    def test_allowed_text_is_taken(
        self, desk: Path, name: str, text: str, value: object, by: str
    ) -> None:
        """A flag and a variable are read alike."""
        environ = {ROWS[name].variable: text} if by == "variable" else {}
        settings, _ = read(desk, environ, **({} if environ else {name: text}))
        assert getattr(settings, name) == value

    @pytest.mark.parametrize(("name", "text"), REFUSED)
    def test_refused_text_is_told(self, desk: Path, name: str, text: str) -> None:
        """A wrong value is answered with its source, its name, itself, and what is allowed."""
        row = ROWS[name]
        message = refusal(desk, {row.variable: text})
        assert message.startswith(f"environment {row.variable}: {name} = ")
        assert f"is not allowed; allowed: {row.kind.allowed}" in message
        assert len(message) < 300

    @pytest.mark.parametrize(
        "text",
        [
            "port = 9000.0",
            'port = "9000"',
            "port = true",
            "error_trace = 1",
            'error_trace = "true"',
            "timeout = inf",
            "timeout = 1979-05-27",
            "max_body = 1.5",
            'max_body = "much"',
            "log_level = 20",
            "handler = 1",
            "workers = true",
        ],
    )
    def test_wrong_type_in_a_file_is_told(self, desk: Path, text: str) -> None:
        """A file's value has to have the right type: text is no number there."""
        write(desk, text)
        name = text.partition(" ")[0]
        message = refusal(desk)
        assert message.startswith(f"config/service.toml: {name} = ")
        assert f"is not allowed; allowed: {ROWS[name].kind.allowed}" in message

    @pytest.mark.parametrize(
        ("name", "text", "meant"),
        [
            ("log_format", "jsn", "json"),
            ("log_level", "WARN", "WARNING"),
            ("workers", "aut", "auto"),
        ],
    )
    def test_misspelt_word_gets_a_hint(self, desk: Path, name: str, text: str, meant: str) -> None:
        """A word that is nearly right is answered with the right one."""
        flags: dict[str, Any] = {name: text}
        assert refusal(desk, **flags).endswith(f"; did you mean {meant}?")

    @pytest.mark.parametrize(
        "text",
        [
            'log_levels = {httpx = "WARNING", "a.b" = "debug"}',
            '[log_levels]\nhttpx = "warning"\n"a.b" = "DEBUG"',
            'log_levels = "httpx=WARNING, a.b = DEBUG"',
        ],
        ids=["table", "section", "text"],
    )
    def test_levels_of_loggers_are_a_table_or_text(self, desk: Path, text: str) -> None:
        """In a file; a flag and the environment take the text."""
        levels = (("httpx", "WARNING"), ("a.b", "DEBUG"))
        write(desk, text)
        assert read(desk)[0].log_levels == levels
        written = "httpx=WARNING,a.b=DEBUG"
        assert ROWS["log_levels"].kind.write(levels) == written
        assert read(desk, log_levels=written)[0].log_levels == levels
        assert read(desk, {"SERVICE_LOG_LEVELS": written})[0].log_levels == levels
        assert read(desk, log_levels="none")[0].log_levels == ()

    @pytest.mark.parametrize(
        "text", ["httpx", "httpx=", "=INFO", "httpx=LOUD", "root=INFO", "a b=INFO", "a=INFO,,"]
    )
    def test_a_level_that_is_none_is_told(self, desk: Path, text: str) -> None:
        """And a logger that is none: the root logger has `log_level`."""
        message = refusal(desk, log_levels=text)
        assert message.startswith("flag --log-levels: log_levels = ")
        assert f"allowed: {ROWS['log_levels'].kind.allowed}" in message

    def test_a_share_is_from_nothing_to_all(self, desk: Path) -> None:
        """0.01 is one in a hundred; more than all is refused."""
        assert read(desk, debug_sample="0.01")[0].debug_sample == 0.01
        assert read(desk, debug_sample="1")[0].debug_sample == 1.0
        assert refusal(desk, debug_sample="2").endswith("allowed: 0-1")

    def test_budget_holds_one_body(self, desk: Path) -> None:
        """A budget that is smaller than one body is refused, naming both sources."""
        write(desk, 'body_budget = "1MiB"')
        assert refusal(desk, max_body="2MiB") == (
            "config/service.toml: body_budget = 1MiB is not allowed"
            "; allowed: at least max_body, which is 2MiB (flag --max-body)"
        )

    def test_timeout_is_longer_than_its_margin(self, desk: Path) -> None:
        """A timeout that the margin eats up is refused."""
        assert refusal(desk, timeout="3", deadline_margin="3") == (
            "flag --timeout: timeout = 3 is not allowed"
            "; allowed: more than deadline_margin, which is 3 (flag --deadline-margin)"
        )

    @given(st.integers(1, 2**40))
    def test_sizes_are_read_as_they_are_written(self, number: int) -> None:
        """Any size survives being written and read again."""
        assert size(2**40).read(typed(size_text(number))) == number

    @given(st.integers(0, 10**18 - 1) | st.floats(0, 1e6).map(lambda number: round(number, 6)))
    def test_numbers_are_read_as_they_are_written(self, number: float) -> None:
        """Any number survives being written and read again, as long as it needs no exponent."""
        written = plain(number)
        assert "e" in written or typed(written) == number

    @given(st.text(), st.sampled_from(sorted(ROWS)))
    def test_any_text_is_read_or_refused(self, text: str, name: str) -> None:
        """No text ends in anything but a value or a refusal."""
        with suppress(UsageError):
            load_settings({name: text}, {}, Path("/nowhere"))


class TestUnknownNames:
    """Names that are no setting."""

    @pytest.mark.parametrize(
        ("variable", "meant"),
        [
            ("SERVICE_PROT", "SERVICE_PORT"),
            ("SERVICE_port", "SERVICE_PORT"),
            ("SERVICE_PROFLE", "SERVICE_PROFILE"),
            ("SERVICE_WORKER", "SERVICE_WORKERS"),
            ("SERVICE_TIMEOUTS", "SERVICE_TIMEOUT"),
            ("SERVICE_CONCURENCY", "SERVICE_CONCURRENCY"),
            ("SERVICE_DRAINTIMEOUT", "SERVICE_DRAIN_TIMEOUT"),
            ("SERVICE_DRAIN_TMIEOTU", "SERVICE_DRAIN_TIMEOUT"),
        ],
    )
    def test_slip_in_a_variable_is_told(self, desk: Path, variable: str, meant: str) -> None:
        """A variable that is a setting's name but for a slip is answered with the right one."""
        assert refusal(desk, {variable: "8080"}) == (
            f"environment: {variable} = '8080': there is no such setting; did you mean {meant}?"
        )

    @pytest.mark.parametrize(
        "variable",
        [
            *("SERVICE_NAME", "SERVICE_URL", "SERVICE_TOKEN", "SERVICE_ENV", "SERVICE_ID"),
            *("SERVICE_KEY", "SERVICE_API_KEY", "SERVICE_VERSION", "SERVICE_ACCOUNT", "SERVICE_"),
            *("SERVICE_BASE_URL", "SERVICE_MODE", "SERVICE_REGION", "SERVICE_PASSWORD"),
        ],
    )
    def test_variable_of_the_functions_is_left_to_it(self, desk: Path, variable: str) -> None:
        """Many programs have variables of such names: they are listed for a warning, no more."""
        loaded = load_settings({}, {variable: "hush"}, desk)
        assert loaded.settings == Settings()
        assert loaded.unclaimed == (variable,)

    def test_key_is_told(self, desk: Path) -> None:
        """An unknown key of a file is answered with the one that was meant."""
        write(desk, "drain_timout = 5")
        assert refusal(desk) == (
            "config/service.toml: drain_timout = 5: there is no such setting"
            "; did you mean drain_timeout?"
        )

    @pytest.mark.parametrize("name", ["api_token", "db_password", "oss_secret", "access_key_id"])
    def test_secret_is_not_shown(self, desk: Path, name: str) -> None:
        """A value whose name sounds like a secret is masked."""
        write(desk, f'{name} = "hush"')
        message = refusal(desk)
        assert message.startswith(f"config/service.toml: {name} = ***: ")
        assert "hush" not in message

    @pytest.mark.parametrize(
        ("text", "words"), [('[oss]\nsecret = "hush"', "a table"), ('oss = ["hush"]', "a list")]
    )
    def test_inside_of_a_table_is_not_shown(self, desk: Path, text: str, words: str) -> None:
        """What is inside of a table or a list stays there."""
        write(desk, text)
        message = refusal(desk)
        assert message.startswith(f"config/service.toml: oss = {words}: ")
        assert "hush" not in message

    def test_cannot_make_a_second_line(self, desk: Path) -> None:
        """A name or value with a line break is shown on one line."""
        write(desk, '"a\\nb" = "c\\nd"')
        assert refusal(desk).startswith("config/service.toml: a\\nb = 'c\\nd': ")

    def test_of_others_are_passed_over(self, desk: Path) -> None:
        """Variables without the prefix are not ours."""
        assert read(desk, {"MY_SERVICE_PORT": "x", "PATH": "/bin"})[0] == Settings()


class TestLoaded:
    """What else is read from the environment, and how it is shown."""

    def test_carries_what_the_platform_says(self, desk: Path) -> None:
        """The instance's id and the credentials come from the platform's variables."""
        environ = {
            "FC_INSTANCE_ID": "c-1",
            "ALIBABA_CLOUD_ACCESS_KEY_ID": "id",
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "secret",
            "ALIBABA_CLOUD_SECURITY_TOKEN": "token",
        }
        assert load_settings({}, environ, desk).platform == Platform("c-1", "id", "secret", "token")
        assert load_settings({}, {}, desk).platform == Platform()

    def test_is_shown_one_setting_a_line(self, desk: Path) -> None:
        """Each line has name, value and source, in columns; no credential is among them."""
        environ = {"ALIBABA_CLOUD_ACCESS_KEY_SECRET": "hush", "SERVICE_TIMEOUT": "2.5"}
        loaded = load_settings({"max_body": "1000"}, environ, desk)
        lines = show(loaded).splitlines()
        assert [line.split()[0] for line in lines] == list(ROWS)
        assert lines[list(ROWS).index("host")] == "host                0.0.0.0        default"
        assert "pre_stop            -              default: `pre_stop` in the handler" in show(
            loaded
        )
        assert "timeout             2.5            environment SERVICE_TIMEOUT" in lines
        assert "max_body            1000           flag --max-body" in lines
        assert "hush" not in show(loaded)
        assert "hush" not in repr(loaded)


class TestFlags:
    """The command line."""

    def parse(self, *arguments: str) -> dict[str, Any]:
        """The namespace that these arguments make."""
        parser = argparse.ArgumentParser()
        add_setting_flags(parser)
        return vars(parser.parse_args(arguments))

    def test_not_given_leave_nothing(self) -> None:
        """A flag that is not given does not hide another source."""
        assert self.parse() == {}

    def test_exist_for_each_setting(self, desk: Path) -> None:
        """Each setting has a flag that sets it, and each switch one that turns it off."""
        arguments = []
        for row in ROWS.values():
            switch = isinstance(row.default, bool)
            value = row.default if row.default is not None else "a.b"
            value = {"timeout": 7.0, "session_header": "x-session"}.get(row.name, value)
            arguments += [row.flag] if switch else [row.flag, row.kind.write(value)]
        settings, sources = read(desk, **self.parse(*arguments))
        assert (settings.timeout, settings.pre_stop, settings.error_trace) == (7.0, "a.b", True)
        assert set(sources.values()) == {f"flag {row.flag}" for row in ROWS.values()}
        assert read(desk, **self.parse("--no-error-trace"))[0].error_trace is False

    def test_name_the_files(self) -> None:
        """The two options that are no settings are flags as well."""
        assert self.parse("--config", "d", "--profile", "p") == {"config": "d", "profile": "p"}

    def test_are_explained(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """`--help-settings` has what each setting is for, what it takes, and its default."""
        monkeypatch.setenv("COLUMNS", "10000")
        text = settings_help("serve")
        for row in ROWS.values():
            assert f"{row.help} [" in text
            assert f"default: {row.default_text}]" in text
        assert all(help in text for _, help in SOURCE_OPTIONS.values())


def written_toml() -> str:
    """config/service.toml, from the table."""
    lines = [
        "# Every setting with its default, the lowest layer: above it stand a profile of this",
        "# folder (--profile NAME reads NAME.toml), the environment (SERVICE_<NAME>), the flags.",
        "# Commented out is what is worked out from something else; docs/settings.md says how.",
    ]
    group = ""
    for row in ROWS.values():
        if row.group != group:
            group = row.group
            lines += ["", f"# {group}"]
        lines += ["", f"# {row.help} [{row.kind.allowed}]", toml_line(row)]
    return "\n".join(lines) + "\n"


def toml_line(row: Row) -> str:
    """A setting's line: its default, or a comment with an example where that is worked out."""
    text = row.kind.write(row.default)
    if row.computed and row.default is None:
        text = f"index.{row.name}"
    bare = isinstance(typed(text), int | float)
    line = f"{row.name} = {text}" if bare else f'{row.name} = "{text}"'
    return f"# {line}" if row.computed else line


def written_table() -> str:
    """The table of docs/settings.md, from the same table."""
    lines = ["| setting | default | allowed | what it is for |", "| --- | --- | --- | --- |"]
    for row in ROWS.values():
        default = row.default_text if row.computed else f"`{row.default_text}`"
        lines.append(f"| `{row.name}` | {default} | {row.kind.allowed} | {row.help} |")
    return "\n".join(lines) + "\n"


BEGIN = "<!-- the table: written by python -m tests.settings.test_table -->\n"
END = "<!-- the end of the table -->\n"


class TestPaper:
    """The files that repeat the table."""

    def test_service_toml_is_the_table(self) -> None:
        """config/service.toml lists every setting with its default."""
        assert (ROOT / "config" / "service.toml").read_text() == written_toml()

    def test_service_toml_changes_nothing(self) -> None:
        """config/service.toml as it stands is read, and says what is the default anyway."""
        loaded: Loaded = load_settings({}, {}, ROOT)
        assert loaded.settings == Settings()
        given = tomllib.loads(written_toml())
        assert set(given) == {
            name for name, source in loaded.sources.items() if source == "config/service.toml"
        }

    def test_local_toml_is_for_a_desk(self) -> None:
        """The profile `local` shows more and waits less."""
        settings = load_settings({"profile": "local"}, {}, ROOT).settings
        assert (settings.log_level, settings.error_trace) == ("DEBUG", True)
        assert settings.drain_timeout < Settings().drain_timeout

    def test_docs_hold_the_table(self) -> None:
        """docs/settings.md has a row for each setting, once."""
        text = (ROOT / "docs" / "settings.md").read_text()
        assert text.count("| setting | default |") == 1
        assert text.partition(BEGIN)[2].partition(END)[0] == written_table()


def rewrite() -> None:
    """Write both files anew."""
    (ROOT / "config" / "service.toml").write_text(written_toml())
    docs = ROOT / "docs" / "settings.md"
    before, found, rest = docs.read_text().partition(BEGIN)
    assert found, f"docs/settings.md has no line {BEGIN!r}"
    docs.write_text(before + BEGIN + written_table() + END + rest.partition(END)[2])


if __name__ == "__main__":
    rewrite()
