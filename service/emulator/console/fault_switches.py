"""The faults that the page can switch: of one instance, of all of a function, of all that start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...console.refusal import ConsoleRefusal
from ...console.requests import number_field, text_field
from ..instances.instance import Instance
from ..local import FunctionCompute
from .memory import FilledMemory
from .recorder import Recorder

_MOST_DELAY = 600.0
_MOST_SKEW = 10 * 365 * 86_400.0
_MOST_MEMORY = 64 * 1024

Fields = Mapping[str, Any]


class FaultSwitches:
    """Switches faults of an emulator."""

    def __init__(self, played: FunctionCompute, recorder: Recorder) -> None:
        self._played = played
        self._recorder = recorder
        self._marks = recorder.marks
        self._memory = FilledMemory()
        self._of_instances: Mapping[str, Callable[[Instance, Fields], str]] = {
            "freeze": _freeze,
            "thaw": _thaw,
            "kill": _kill,
            "drop": _drop,
            "fill_memory": self._fill_memory,
        }
        self._of_all: Mapping[str, Callable[[Fields], str]] = {
            "initializer_delay": self._delay,
            "clock_skew": self._skew,
        }

    def row(self) -> dict[str, Any]:
        """Return what is switched on. Times in seconds."""
        faults = self._played.faults
        return {
            "initializer_delay": faults.initializer_delay,
            "clock_skew": faults.clock_skew,
            "filled": self._memory.rows(),
        }

    async def switch(self, fields: Fields) -> dict[str, Any]:
        """Switch the fault that `kind` names. Raises ConsoleRefusal."""
        kind = text_field(fields, "kind")
        if kind in self._of_all:
            self._marks.add("fault", "", "", self._of_all[kind](fields))
        elif kind in self._of_instances:
            for instance in self._named(fields):
                told = self._of_instances[kind](instance, fields)
                mark = "kill" if kind == "kill" else "fault"
                self._marks.add(mark, instance.function, instance.id, f"{instance.name} {told}")
                self._marks.look_at(instance)
        else:
            known = ", ".join((*self._of_instances, *self._of_all))
            raise ConsoleRefusal(400, f"no fault is called {kind[:100]!r}; there are {known}")
        return {"faults": self.row()}

    def close(self) -> None:
        """Give back the memory that was filled."""
        self._memory.close()

    def _named(self, fields: Fields) -> Sequence[Instance]:
        """Return the instance that is meant, or all of a function. Raises ConsoleRefusal."""
        named, function = text_field(fields, "instance", ""), text_field(fields, "function", "")
        if not (named or function):
            raise ConsoleRefusal(400, "which one? 'instance' names one, 'function' all of one")
        there = [
            each for each in self._recorder.there() if each.function == (function or each.function)
        ]
        found = [each for each in there if each.id == (named or each.id)]
        if not found:
            told = f"there is no instance {named[:100]}" if named else f"{function[:100]} has none"
            raise ConsoleRefusal(404, told)
        return found

    def _fill_memory(self, instance: Instance, fields: Fields) -> str:
        megabytes = int(number_field(fields, "mb", 0, 0, _MOST_MEMORY))
        try:
            self._memory.fill(instance, megabytes)
        except (ValueError, OSError) as reason:
            raise ConsoleRefusal(409, str(reason)) from None
        return f"has {megabytes} MB more" if megabytes else "has its memory back"

    def _delay(self, fields: Fields) -> str:
        seconds = number_field(fields, "seconds", 0, 0, _MOST_DELAY)
        self._played.faults.initializer_delay = float(seconds)
        return f"initializers take {seconds:g} s longer"

    def _skew(self, fields: Fields) -> str:
        seconds = number_field(fields, "seconds", 0, -_MOST_SKEW, _MOST_SKEW)
        try:
            self._played.faults.clock_skew = float(seconds)
        except (RuntimeError, OSError) as reason:  # the library is not installed
            raise ConsoleRefusal(409, str(reason)) from None
        return f"clocks of instances that start are {seconds:g} s ahead"


def _freeze(instance: Instance, _fields: Fields) -> str:
    if instance.processes is None:
        raise ConsoleRefusal(409, f"{instance.name} has no processes yet")
    instance.freeze()
    return "is frozen by hand"


def _thaw(instance: Instance, _fields: Fields) -> str:
    instance.thaw()
    return "is thawed by hand"


def _kill(instance: Instance, _fields: Fields) -> str:
    if instance.processes is None:
        raise ConsoleRefusal(409, f"{instance.name} has no processes yet")
    instance.kill("is killed by the console")
    return "is killed"


def _drop(instance: Instance, _fields: Fields) -> str:
    instance.drop_connections()
    return "has lost its connections"
