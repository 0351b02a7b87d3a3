"""Completion of the command line: the script that a shell reads."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..events.sample import names
from ..settings.flags import tell_setting_flags
from ..settings.kinds import ON
from ..settings.table import ROWS
from . import invoke, serve
from .parser import COMMANDS, INSTALLED, AddFlags
from .plain_commands import plain_command

_FUNCTION = "_fc_event_service"


@dataclass(frozen=True, slots=True)
class CompletedFlag:
    """A flag: what the help says of it, whether a value follows, and which values there are."""

    name: str
    help: str
    takes_value: bool
    words: Sequence[str] = ()


class FlagRecorder(argparse.ArgumentParser):
    """In the place of a command's parser: keeps what is added to it, in groups, too."""

    def __init__(self) -> None:
        super().__init__(add_help=False)
        self.flags = [CompletedFlag("--help", "tell the command's flags", takes_value=False)]

    def add_argument(self, *names: Any, **options: Any) -> Any:
        """Keep a flag, unless it is one that the help does not tell."""
        if options.get("help") != argparse.SUPPRESS and names[0].startswith("-"):
            action = options.get("action", "store")
            takes_value = action in ("store", "append") and options.get("nargs") != 0
            words = tuple(map(str, options.get("choices") or ()))
            text = " ".join(str(options.get("help") or "").replace("%%", "%").split())
            for name in names:
                self.flags.append(CompletedFlag(name, text, takes_value, words))
                if action is argparse.BooleanOptionalAction:
                    off = f"--no-{name.removeprefix('--')}"
                    self.flags.append(CompletedFlag(off, text, takes_value=False))

    def add_argument_group(self, *_: Any, **__: Any) -> Any:
        """Return what keeps the flags of a group."""
        return self

    def add_mutually_exclusive_group(self, **_: Any) -> Any:
        """Return what keeps the flags of a group."""
        return self


def completion_script(shell: str) -> str:
    """Return the script of a shell of SHELLS."""
    return SHELLS[shell]({command: completed_flags(command) for command in COMMANDS})


def completed_flags(command: str) -> list[CompletedFlag]:
    """Return the flags of a command, the settings if it has them included."""
    recorder = FlagRecorder()
    _add_flags_of(command)(recorder)
    if any(flag.name == "--help-settings" for flag in recorder.flags):
        tell_setting_flags(recorder)
    words = {row.flag: row.kind.words for row in ROWS.values() if row.kind is not ON}
    return [replace(flag, words=flag.words or words.get(flag.name, ())) for flag in recorder.flags]


def _add_flags_of(command: str) -> AddFlags:
    of_service = {"serve": serve.add_flags, "invoke": invoke.add_flags}
    return of_service[command] if command in of_service else plain_command(command)[0]


Flags = Mapping[str, Sequence[CompletedFlag]]


def _bash(flags: Flags) -> str:
    cases = []
    values = []
    for command, listed in flags.items():
        cases.append(
            f"        {command}) words={_quoted(' '.join(each.name for each in listed))} ;;"
        )
        for flag in listed:
            if flag.takes_value:
                found = f'COMPREPLY=($(compgen -W {_quoted(" ".join(flag.words))} -- "$current"))'
                values.append(
                    f"        {command}:{flag.name}) {found if flag.words else ':'}; return ;;"
                )
    return "\n".join(
        [
            f"# Completion of {INSTALLED} in bash; written by `{INSTALLED} --completion bash`.",
            f"{_FUNCTION}() {{",
            "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}",
            "    local command= word words",
            '    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do',
            f"        case $word in {'|'.join(flags)}) command=$word; break ;; esac",
            "    done",
            "    COMPREPLY=()  # the shell completes files then",
            "    case ${command:-serve}:$before in",
            *values,
            "    esac",
            "    case $command:$current in",
            f'        :[!-]*|:) COMPREPLY=($(compgen -W {_quoted(" ".join(flags))} -- "$current"));'
            " return ;;",
            f"        event:[!-]*|event:) COMPREPLY=($(compgen -W {_quoted(' '.join(names()))} --"
            ' "$current")); return ;;',
            "        *:[!-]*|*:) return ;;",
            "    esac",
            "    case ${command:-serve} in",
            *cases,
            "    esac",
            '    COMPREPLY=($(compgen -W "$words" -- "$current"))',
            "}",
            f"complete -o default -F {_FUNCTION} {INSTALLED}",
            "",
        ]
    )


def _zsh(flags: Flags) -> str:
    cases = []
    for command, listed in flags.items():
        specs = [_zsh_flag(flag) for flag in listed]
        specs.append(
            _quoted(f"*:sample:({' '.join(names())})") if command == "event" else "'*:file:_files'"
        )
        cases.append(f"    {command}) _arguments {' '.join(specs)} ;;")
    commands = " ".join(_quoted(f"{name}:{COMMANDS[name]}") for name in flags)
    return "\n".join(
        [
            f"#compdef {INSTALLED}",
            f"# Completion of {INSTALLED} in zsh; written by `{INSTALLED} --completion zsh`.",
            f"{_FUNCTION}() {{",
            "  local word command=",
            f"  local -a commands=({commands})",
            "  for word in ${words[2,CURRENT-1]}; do",
            f"    case $word in ({'|'.join(flags)}) command=$word; break ;; esac",
            "  done",
            "  if [[ -z $command && $PREFIX != -* && ${words[CURRENT-1]} != -* ]]; then",
            "    _describe command commands",
            "    return",
            "  fi",
            "  case ${command:-serve} in",
            *cases,
            "  esac",
            "}",
            f"compdef {_FUNCTION} {INSTALLED}",
            "",
        ]
    )


def _zsh_flag(flag: CompletedFlag) -> str:
    text = re.sub(r"([\[\]:\\])", r"\\\1", _short(flag.help))
    value = f":value:({' '.join(flag.words)})" if flag.words else ":value:_files"
    return _quoted(f"*{flag.name}[{text}]{value if flag.takes_value else ''}")


def _fish(flags: Flags) -> str:
    lines = [f"# Completion of {INSTALLED} in fish; written by `{INSTALLED} --completion fish`."]
    begin = f"complete -c {INSTALLED}"
    others = " ".join(name for name in flags if name != "serve")
    for command, listed in flags.items():
        lines.append(
            f"{begin} -f -n __fish_use_subcommand -a {command} -d {_quoted_fish(COMMANDS[command])}"
        )
        seen = f"__fish_seen_subcommand_from {command}"
        when = f"not __fish_seen_subcommand_from {others}" if command == "serve" else seen
        for flag in listed:
            option = f"-l {flag.name[2:]}" if flag.name.startswith("--") else f"-s {flag.name[1:]}"
            value = f" -x -a {_quoted_fish(' '.join(flag.words))}" if flag.words else " -r"
            lines.append(
                f"{begin} -n {_quoted_fish(when)} {option}{value if flag.takes_value else ''}"
                f" -d {_quoted_fish(_short(flag.help))}"
            )
    samples = _quoted_fish(" ".join(names()))
    lines.append(f"{begin} -f -n '__fish_seen_subcommand_from event' -a {samples}")
    return "\n".join([*lines, ""])


def _tcsh(flags: Flags) -> str:
    listed = sorted({flag.name.lstrip("-") for each in flags.values() for flag in each})
    return "\n".join(
        [
            f"# Completion of {INSTALLED} in tcsh; written by `{INSTALLED} --completion tcsh`.",
            f"complete {INSTALLED} 'c/--/({' '.join(listed)})/' 'n/event/({' '.join(names())})/'"
            f" 'p/1/({' '.join(flags)})/'",
            "",
        ]
    )


SHELLS = {"bash": _bash, "zsh": _zsh, "fish": _fish, "tcsh": _tcsh}
"""The shells that there is a script for."""


def _short(text: str) -> str:
    """Return the beginning of a help, as it fits beside a word."""
    first = re.split(r"; | \[|\. ", text)[0].strip()
    return first if len(first) <= 70 else f"{first[:67]}..."


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _quoted_fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
