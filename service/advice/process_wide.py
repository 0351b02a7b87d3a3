"""What belongs to the process, so to all calls: its folder, environment, streams, signals, time."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .code_names import ImportedNames
from .finding import MAY_BREAK, WILL_BREAK, Finding, Risk
from .project import CodeFunction, Project, assignments

_ENVIRONMENT = Risk(
    "environment",
    WILL_BREAK,
    "the environment is the process's: calls at the same time read each other's value",
    "Pass the value on, or set it in `environmentVariables` of s.yaml; a child process takes env=.",
)
_STREAM = Risk(
    "stdout",
    WILL_BREAK,
    "the stream is the process's: lines of other calls go there, too",
    "Use contextlib.redirect_stdout, which here takes the output of its own call alone.",
)
_SIGNAL = Risk(
    "signal",
    WILL_BREAK,
    "signals reach the main thread only: in a call's thread this raises ValueError, and an alarm"
    " interrupts no call",
    "Give the client a time-out; what ends the instance belongs into `pre_stop(context)`.",
)
_PYPLOT = Risk(
    "process-wide",
    WILL_BREAK,
    "matplotlib.pyplot draws into one current figure: pictures of calls mix",
    "Use matplotlib.figure.Figure() and its methods, which belong to the call.",
)
_HANDLER_ADDED = Risk(
    "process-wide",
    WILL_BREAK,
    "each call adds one more handler: a line is written twice, then three times",
    "Set up logging at import or in `initialize(context)`.",
)


def _process(what: str, advice: str) -> Risk:
    return Risk("process-wide", WILL_BREAK, what, advice)


_CALLS = {
    "os.chdir": Risk(
        "chdir",
        WILL_BREAK,
        "the working folder is the process's: another call's relative paths change meanwhile",
        "Use absolute paths, or cwd= of subprocess.run.",
    ),
    "os.putenv": _ENVIRONMENT,
    "os.unsetenv": _ENVIRONMENT,
    **{
        f"os.environ.{name}": _ENVIRONMENT
        for name in ("update", "setdefault", "pop", "clear", "popitem", "__setitem__")
    },
    "signal.signal": _SIGNAL,
    "signal.alarm": _SIGNAL,
    "signal.setitimer": _SIGNAL,
    "locale.setlocale": Risk(
        "locale",
        WILL_BREAK,
        "the locale is the process's: other calls format numbers and dates by it",
        "Format with babel or by hand; a locale for all calls is set in `initialize(context)`.",
    ),
    "time.tzset": Risk(
        "timezone",
        WILL_BREAK,
        "the time zone is the process's: other calls' local times change",
        'Use zoneinfo: datetime.now(ZoneInfo("Asia/Shanghai")).',
    ),
    "os.umask": _process(
        "the umask is the process's: files of other calls get other permissions",
        "Give the mode where the file is made, or use os.chmod.",
    ),
    "os._exit": _process(
        "it ends the process, and every call that runs in it",
        "Raise an error, which fails this call.",
    ),
    "os.abort": _process(
        "it ends the process, and every call that runs in it",
        "Raise an error, which fails this call.",
    ),
    "os.fork": _process(
        "a fork copies the locks that other calls' threads hold, and they are never released",
        "Use subprocess.run, or multiprocessing, which starts a new interpreter.",
    ),
    "socket.setdefaulttimeout": _process(
        "the default time-out is for the sockets of all calls", "Give a time-out to the one client."
    ),
    "random.seed": _process(
        "there is one random sequence for all calls: nobody gets the one that was asked for",
        "Use random.Random(seed) of the call's own.",
    ),
    "numpy.random.seed": _process(
        "there is one random sequence for all calls: nobody gets the one that was asked for",
        "Use numpy.random.default_rng(seed) of the call's own.",
    ),
    "warnings.catch_warnings": _process(
        "the filters of warnings are the process's: calls undo each other's",
        "Set filters once, at import.",
    ),
    "warnings.filterwarnings": _process(
        "the filters of warnings are the process's, and each call adds one more",
        "Set filters once, at import.",
    ),
    "warnings.simplefilter": _process(
        "the filters of warnings are the process's, and each call adds one more",
        "Set filters once, at import.",
    ),
    "logging.disable": _process(
        "it silences the logs of all calls", "Set the level of one logger once, at import."
    ),
    "sys.path.append": _process(
        "the path grows with each call, and all calls import by it", "Do it once, at import."
    ),
    "sys.path.insert": _process(
        "the path grows with each call, and all calls import by it", "Do it once, at import."
    ),
    "gc.disable": _process("it is for all calls, and memory grows", "Leave it to the service."),
}
_STREAMS = ("sys.stdout", "sys.stderr", "sys.stdin")


def process_findings(project: Project) -> Iterator[Finding]:
    """Yield what calls change for the whole process."""
    for function in project.functions:
        if function.in_calls:
            for node in function.nodes:
                risk = _risk(node, function)
                if risk is not None and isinstance(node, ast.stmt | ast.expr):
                    yield risk.at(function.home.file.name, node)
    yield from _signals_at_import(project)


def _risk(node: ast.AST, function: CodeFunction) -> Risk | None:
    """Return what is to be said of one node."""
    names = function.home.names
    if isinstance(node, ast.Call):
        return _of_call(node, names, function)
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        for target, _ in assignments(node):
            if found := _of_target(target, names, function):
                return found
    if isinstance(node, ast.Delete):
        for target in node.targets:
            if found := _of_target(target, names, function):
                return found
    return None


def _of_call(node: ast.Call, names: ImportedNames, function: CodeFunction) -> Risk | None:
    for name in names.full_names(node.func):
        if name in _CALLS:
            return _CALLS[name]
        if name.startswith("matplotlib.pyplot."):
            return _PYPLOT
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if method == "addHandler":
        return _HANDLER_ADDED
    if isinstance(node.func, ast.Attribute) and f"os.environ.{method}" in _CALLS:
        return _ENVIRONMENT if _is_environment(node.func.value, names, function) else None
    return None


def _of_target(target: ast.expr, names: ImportedNames, function: CodeFunction) -> Risk | None:
    if isinstance(target, ast.Subscript) and _is_environment(target.value, names, function):
        key = target.slice
        if isinstance(key, ast.Constant) and key.value == "TZ":
            return _CALLS["time.tzset"]
        return _ENVIRONMENT
    if not isinstance(target, ast.Attribute):
        return None
    (name, *_) = names.full_names(target) or [""]
    if name in _STREAMS:
        return _STREAM
    base = ast.unparse(target).partition(".")[0]
    if base in names and base not in function.local and "." in name:
        return _process(
            f"{name} is set for all calls",
            "Set it once, at import, or give it to the one client.",
        )
    return None


def _is_environment(node: ast.expr, names: ImportedNames, function: CodeFunction) -> bool:
    """Return whether it is `os.environ`, by its name or by one that the function has given it."""
    if "os.environ" in names.full_names(node):
        return True
    return isinstance(node, ast.Name) and any(
        isinstance(target, ast.Name)
        and target.id == node.id
        and value is not None
        and "os.environ" in names.full_names(value)
        for each in function.nodes
        for target, value in assignments(each)
    )


def _signals_at_import(project: Project) -> Iterator[Finding]:
    """Yield the handlers of SIGTERM and SIGINT that are set once, and never called."""
    told = Risk(
        "signal",
        MAY_BREAK,
        "SIGTERM and SIGINT are the service's, which finishes calls in flight: this is not called",
        "Put what it does into `pre_stop(context)`.",
    )
    for module in project.modules:
        once = [each for each in module.functions if not each.in_calls]
        for nodes in (module.nodes, *(each.nodes for each in once)):
            yield from (
                told.at(module.file.name, node)
                for node in nodes
                if isinstance(node, ast.Call)
                and "signal.signal" in module.names.full_names(node.func)
                and ast.unparse(node).endswith(
                    ("SIGTERM", "SIGINT"), 0, ast.unparse(node).find(",")
                )
            )
