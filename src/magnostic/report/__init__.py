"""The report of a run: one HTML page, its figures and its tables, from the run folder alone."""

from magnostic.report.page import write_report

__all__ = ["write_report"]
