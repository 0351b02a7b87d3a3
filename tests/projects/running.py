"""Runs the tests that a generated project has, as its author does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def project_tests(folder: Path) -> str:
    """What pytest says of a project, with the plugin that an installation brings and no other."""
    environ = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    plugin = ("-p", "fc_event_service_pytest", "-p", "no:cacheprovider")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-W", "error", *plugin],
        cwd=folder,
        env=environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr
