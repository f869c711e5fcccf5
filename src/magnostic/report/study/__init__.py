"""The report of a study: published and measured figures of many runs side by side."""

from magnostic.report.study.page import write_study

__all__ = ["write_study"]
