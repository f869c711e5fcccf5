"""Evaluation hygiene as coded checks, MG001 to MG009, each recomputed from a run's own tables."""

from magnostic.audit.findings import TITLES, Finding, read_audit, write_audit
from magnostic.audit.run import audit_images, audit_outside, audit_parts, audit_run, audit_split

__all__ = [
    "TITLES",
    "Finding",
    "audit_images",
    "audit_outside",
    "audit_parts",
    "audit_run",
    "audit_split",
    "read_audit",
    "write_audit",
]
