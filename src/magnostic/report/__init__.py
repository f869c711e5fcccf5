"""The report of a run or a study, and the card of its model, from the folder alone."""

from magnostic.report.card import write_card
from magnostic.report.outside import write_outside
from magnostic.report.page import write_report
from magnostic.report.study import write_study

__all__ = ["write_card", "write_outside", "write_report", "write_study"]
