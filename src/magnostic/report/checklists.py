"""Reporting checklists: what the run can say to each item, and what is left to the author.

Items are told in our words, numbered as in their sources: TRIPOD+AI (Collins et al., BMJ 385,
2024, e078378) and CLAIM (Tejani et al., Radiology: Artificial Intelligence 6(4), 2024, e240300).
Every answer is put together from files of the run folder; an item that these cannot answer says
what the author has to write.
"""

from __future__ import annotations

from typing import Final

from magnostic.report import answers
from magnostic.report.cells import Cell, Table, Value
from magnostic.report.folder import RunFolder
from magnostic.report.words import MISSING

_AUTHOR: Final = "for the author"


def checklists(run: RunFolder) -> list[Table]:
    """One table a checklist: item, what it asks, the run's answer or a note for the author."""
    return [
        _table(run, "tripod_ai", "TRIPOD+AI", _TRIPOD),
        _table(run, "claim", "CLAIM 2024", _CLAIM),
    ]


def _table(
    run: RunFolder, name: str, title: str, items: tuple[tuple[str, str, answers.Answer | None], ...]
) -> Table:
    rows: list[list[Cell]] = []
    records: list[dict[str, Value]] = []
    filled = 0
    for number, asks, answer in items:
        says = answer(run) if answer else None
        filled += says is not None
        rows.append([Cell(number), Cell(asks), Cell(says or MISSING, "" if says else _AUTHOR)])
        records.append({"item": number, "asks": asks, "answer": says or "", "from_run": bool(says)})
    caption = (
        f"{title}: {filled} of {len(items)} items have an answer from this run, to be checked by "
        f"the author; the other {len(items) - filled} are the author's to write."
    )
    return Table(f"checklist_{name}", caption, ["Item", "Asks for", "This run"], rows, records, 3)


_TRIPOD: Final[tuple[tuple[str, str, answers.Answer | None], ...]] = (
    ("1", "Title: developing or evaluating a prediction model, population, outcome", None),
    ("2", "Abstract", None),
    ("3a", "Health context, why the model is needed, earlier models", None),
    ("3b", "Whom the model is for, its purpose and intended users", None),
    ("3c", "Known inequalities between groups of patients", None),
    ("4", "Objectives: development, evaluation or both", None),
    ("5a", "Sources of data for development and evaluation, and why", answers.DATA),
    ("5b", "Dates of data collection and follow-up", None),
    ("6a", "Setting: kind, number and place of centres", None),
    ("6b", "Who was eligible", None),
    ("6c", "Treatments received, if relevant", None),
    ("7", "Preparation and quality checks of the data", answers.PREPARED),
    ("8a", "What is predicted, how and when it was determined", answers.setting("Task")),
    ("8b", "Who determined the outcome, with what qualification", None),
    ("8c", "Whether they were blind to what predicts", None),
    ("9a", "Why these predictors", None),
    ("9b", "How predictors were measured (staining, camera, objective)", None),
    ("9c", "Who measured them, if that takes judgement", None),
    ("10", "How the sample size was arrived at", answers.sample_size),
    ("11", "Missing data and how they were treated", answers.left_out),
    ("12a", "How the data were used: development and evaluation, partition", answers.partition),
    ("12b", "Handling of predictors: transformation, standardization", answers.PREPARED),
    ("12c", "Type of model, all steps of building it, tuning, internal validation", answers.BUILT),
    ("12d", "How differences between clusters were taken into account", answers.uncertainty),
    (
        "12e",
        "Measures and plots of performance, and why",
        answers.both(answers.calibration, answers.uncertainty),
    ),
    ("12f", "Updating of the model after evaluation", None),
    ("12g", "How predictions were computed for evaluation", answers.model_file),
    ("13", "Class imbalance: methods, and recalibration after them", answers.IMBALANCE),
    ("14", "Approaches to fairness, and why", None),
    ("15", "What the model gives out; thresholds and how they were chosen", answers.output),
    ("16", "Differences between development and evaluation data", answers.external),
    ("17", "Ethics committee and consent", None),
    ("18a", "Funding and the role of funders", None),
    ("18b", "Conflicts of interest", None),
    ("18c", "Where the study protocol can be had", None),
    ("18d", "Registration", None),
    ("18e", "Availability of the data", None),
    ("18f", "Availability of the code", answers.software),
    ("19", "Involvement of patients and the public", None),
    ("20a", "Flow of patients and images through the study", answers.left_out),
    (
        "20b",
        "Characteristics of patients and images, by source",
        answers.both(answers.DATA, answers.counts),
    ),
    ("20c", "Comparison of development and evaluation data", None),
    (
        "21",
        "Patients and outcome events in each analysis",
        answers.both(answers.sample_size, answers.counts),
    ),
    ("22", "The full model, so that others can predict with it", answers.model_file),
    ("23a", "Performance with intervals, also in key groups", answers.performance),
    ("23b", "Differences in performance between clusters", answers.heterogeneity),
    ("24", "Results of model updating", None),
    ("25", "Interpretation, with fairness and earlier studies", None),
    ("26", "Limitations and what they mean for bias and generalization", answers.limits),
    ("27a", "How poor or missing input is to be handled in use", None),
    ("27b", "Whether users interact with the model, and what they must know", None),
    ("27c", "Next steps for research", None),
)

_CLAIM: Final[tuple[tuple[str, str, answers.Answer | None], ...]] = (
    ("1", "Title or abstract names the AI method", None),
    ("2", "Abstract: design, methods, results, conclusion", None),
    ("3", "Background, with the intended use", None),
    ("4", "Aims and hypotheses", None),
    ("5", "Prospective or retrospective", None),
    ("6", "Goal of the study", answers.setting("Task")),
    ("7", "Sources of data", answers.DATA),
    ("8", "Inclusion and exclusion: who, where, when", None),
    ("9", "Preprocessing of the images", answers.PREPARED),
    (
        "10",
        "Selection of parts of the data or images",
        answers.setting("Magnifications", "Trained on"),
    ),
    ("11", "De-identification", None),
    ("12", "Missing data", answers.left_out),
    ("13", "How images were acquired", answers.fact("Sizes in pixels")),
    ("14", "Reference standard, in detail", None),
    ("15", "Why this reference standard", None),
    ("16", "Where annotations came from, by whom", None),
    ("17", "Annotation of the test set", None),
    ("18", "Agreement between and within annotators", None),
    ("19", "How data were assigned to parts", answers.partition),
    ("20", "On what level parts are apart (patient, image)", answers.level),
    ("21", "Intended sample size", answers.sample_size),
    (
        "22",
        "The model in detail: input, output, layers",
        answers.both(answers.setting("Model", "Features"), answers.output),
    ),
    ("23", "Software and versions", answers.software),
    ("24", "How parameters were initialized", answers.setting("Model")),
    ("25", "Training: augmentation, hyperparameters, number of models", answers.BUILT),
    ("26", "How the final model was chosen", answers.setting("Selection", "Regularization")),
    ("27", "Ensembling", answers.model_file),
    ("28", "Measures of performance", answers.both(answers.calibration, answers.uncertainty)),
    ("29", "Measures of uncertainty", answers.uncertainty),
    ("30", "Robustness or sensitivity", answers.robust),
    ("31", "Explanation of the model, and its validation", None),
    ("32", "Evaluation on internal data", answers.internal),
    ("33", "Evaluation on external data", answers.external),
    ("34", "Registration, for a clinical trial", None),
    (
        "35",
        "Numbers of patients and images included and excluded",
        answers.both(answers.DATA, answers.left_out),
    ),
    ("36", "Demographic and clinical characteristics in each part", None),
    ("37", "Performance on all parts of the data", answers.performance),
    ("38", "Estimates of performance with their precision", answers.performance),
    ("39", "Analysis of failures", answers.failures),
    ("40", "Limitations", answers.limits),
    ("41", "What the results mean for practice", None),
    ("42", "Where the full protocol is", None),
    ("43", "Availability of software, model and data", answers.model_file),
    ("44", "Funding and the role of funders", None),
)
