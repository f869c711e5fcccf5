"""What bandit finds in the source, and known vulnerabilities of what constraints.txt names.

    python .ci/check_security.py

Fails for a finding of medium or high severity, for a ``# nosec`` without the test that it silences
or without a reason on the line above, and for a vulnerability that
``.ci/known_vulnerabilities.txt`` does not name with a reason. Where the vulnerability service can't
be reached, says so and goes on: what is known today cannot be known without it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
ALLOWED = ROOT / ".ci" / "known_vulnerabilities.txt"
_NOSEC = re.compile(r"#\s*nosec\b(.*)")
#: How pip-audit and what it stands on say that the service did not answer.
_UNREACHED = re.compile(
    r"could not connect|failed to (reach|connect)|connection ?error|connection (refused|reset)|"
    r"max retries|timed? ?out|http ?error|ssl ?error|not redirecting",
    re.IGNORECASE,
)
_IDS = re.compile(r":?\s*B\d+(\s*,\s*B\d+)*\s*$")


def main() -> None:
    faults = [*unexplained(SOURCE), *_bandit(), *_vulnerabilities()]
    for fault in faults:
        print(fault, file=sys.stderr)
    sys.exit(bool(faults))


def unexplained(source: Path) -> list[str]:
    """Places that silence bandit without naming what, or without a comment above that says why."""
    found = []
    for path in sorted(source.rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            silenced = _NOSEC.search(line)
            if silenced is None:
                continue
            above = lines[number - 2].strip() if number > 1 else ""
            if not (_IDS.match(silenced[1]) and above.startswith("#") and len(above) > 10):
                what = "# nosec needs an id, and a reason on the line above"
                found.append(f"{path}:{number}: {what}")
    return found


def _bandit() -> list[str]:
    command = ["-m", "bandit", "-q", "-r", str(SOURCE), "-c", str(ROOT / "pyproject.toml")]
    told = _run([*command, "-ll"])
    print("bandit: nothing of medium or high severity" if not told.returncode else told.stdout)
    return ["bandit: findings of medium or high severity (above)"] if told.returncode else []


def _vulnerabilities() -> list[str]:
    command = ["-m", "pip_audit", "-r", str(ROOT / "constraints.txt"), "--no-deps", "--disable-pip"]
    told = _run([*command, "--format", "json", "--progress-spinner", "off", "--timeout", "15"])
    faults, notice = judged(told.stdout, told.stderr, allowed(ALLOWED.read_text(encoding="utf-8")))
    print(notice)
    return faults


def allowed(text: str) -> dict[str, str]:
    """Vulnerability -> reason, of lines ``ID reason``; a line without a reason is an error."""
    found = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, reason = line.partition(" ")
            if not reason.strip():
                raise SystemExit(f"{ALLOWED}: {name}: say why it may stand")
            found[name] = reason.strip()
    return found


def judged(out: str, err: str, known: dict[str, str]) -> tuple[list[str], str]:
    """What is wrong, and a notice, by what pip-audit wrote."""
    try:
        packages = json.loads(out)["dependencies"]
    except (ValueError, KeyError):
        reason = (err.strip().splitlines() or ["no answer"])[-1]
        if not _UNREACHED.search(err):
            return [f"pip-audit: did not run ({reason})"], f"pip-audit: failed\n{err}"
        return [], f"pip-audit: NOT CHECKED, the vulnerability service did not answer ({reason})"
    looked_up = [package for package in packages if "skip_reason" not in package]
    if not looked_up:
        told = packages[0]["skip_reason"] if packages else "no package"
        return [], f"pip-audit: NOT CHECKED, the service knows none of the packages ({told})"
    faults = []
    for package in looked_up:
        for entry in package["vulns"]:
            names = {entry["id"], *entry.get("aliases", ())}
            if not names & set(known):
                fixed = ", ".join(entry.get("fix_versions", ())) or "no version"
                faults.append(
                    f"pip-audit: {package['name']} {package['version']}: {entry['id']}, mended in "
                    f"{fixed}; raise it in constraints.txt, or name it in {ALLOWED.name} with why"
                )
    skipped = len(packages) - len(looked_up)
    return faults, f"pip-audit: {len(looked_up)} packages looked up, {skipped} not known to it"


def _run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT)


if __name__ == "__main__":
    main()
