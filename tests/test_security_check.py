"""``.ci/check_security.py``: what is silenced without a reason; what answers of pip-audit mean."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def check() -> ModuleType:
    place = ROOT / ".ci" / "check_security.py"
    spec = importlib.util.spec_from_file_location("check_security", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "text, faults",
    [
        ("x = 1\n", 0),
        ("# It is text that nobody else writes.\nx = 1  # nosec B101\n", 0),
        ("# It is text that nobody else writes.\nx = 1  # nosec B101, B102\n", 0),
        ("x = 1  # nosec B101\n", 1),
        ("# It is text that nobody else writes.\nx = 1  # nosec\n", 1),
        ("# so\nx = 1  # nosec B101\ny = 2  # nosec: B102\n", 2),
    ],
)
def test_what_is_silenced_says_what_and_why(
    text: str, faults: int, check: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "a.py").write_text(text)
    assert len(check.unexplained(tmp_path)) == faults


def test_the_source_silences_nothing_without_a_reason(check: ModuleType) -> None:
    assert check.unexplained(ROOT / "src") == []


VULNERABLE = json.dumps({"dependencies": [
    {"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"],
                                             "fix_versions": ["2"]}]},
    {"name": "b", "version": "1", "vulns": []},
    {"name": "c", "version": "1", "skip_reason": "unknown"},
]})  # fmt: skip


def test_a_vulnerability_fails_unless_it_is_named(check: ModuleType) -> None:
    faults, notice = check.judged(VULNERABLE, "", {})
    assert len(faults) == 1
    assert "a 1: PYSEC-1, mended in 2" in faults[0]
    assert "2 packages looked up, 1 not known" in notice
    for name in ("PYSEC-1", "CVE-1"):
        assert check.judged(VULNERABLE, "", {name: "not reached"})[0] == []
    assert check.allowed("# head\n\nCVE-1 not reached\n") == {"CVE-1": "not reached"}
    with pytest.raises(SystemExit, match="say why"):
        check.allowed("CVE-1\n")


@pytest.mark.parametrize(
    "out, err",
    [
        ("", "ERROR:pip_audit._cli:Failed to reach the service: Read timed out.\n"),
        ("", "requests.exceptions.ConnectionError: Max retries exceeded with url: /simple\n"),
        (json.dumps({"dependencies": [{"name": "c", "skip_reason": "no such"}]}), ""),
    ],
)
def test_a_service_that_does_not_answer_is_told_and_fails_nothing(
    out: str, err: str, check: ModuleType
) -> None:
    faults, notice = check.judged(out, err, {})
    assert faults == []
    assert notice.startswith("pip-audit: NOT CHECKED")


@pytest.mark.parametrize(
    "err", ["No module named pip_audit\n", "error: unrecognized arguments: --x\n", ""]
)
def test_a_check_that_did_not_run_is_a_fault(err: str, check: ModuleType) -> None:
    faults, _ = check.judged("{}", err, {})
    assert faults[0].startswith("pip-audit: did not run")
