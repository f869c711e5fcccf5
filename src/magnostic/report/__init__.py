"""The report of a run or a study: one HTML page, its figures and tables, from the folder alone."""

from magnostic.report.outside import write_outside
from magnostic.report.page import write_report
from magnostic.report.study import write_study

__all__ = ["write_outside", "write_report", "write_study"]
