"""The demo's claim: the patient-disjoint result is well above chance, and random is above it."""

import json
import sys
from pathlib import Path

run = Path(sys.argv[1])
protocols = json.loads((run / "metrics.json").read_text())["protocols"]
random, patient = (protocols[p]["overall"]["accuracy"]["estimate"] for p in ("random", "patient"))
if patient < 0.50 or random - patient < 0.05:
    sys.exit(
        f"{run}: accuracy random {random:.3f}, patient {patient:.3f}; expected a gap above .05"
    )
if "SYNTHETIC" not in (run / "report.html").read_text():
    sys.exit(f"{run}: the report does not say that its photographs are synthetic")
