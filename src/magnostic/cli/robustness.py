"""``magnostic robustness``: a run's models, or all of a study's, on shifted photographs."""

from __future__ import annotations

from pathlib import Path

from magnostic.cli import options


def robustness(
    run: Path,
    *,
    data: options.DataPaths,
    shifts: str = "",
    severities: str = "0.25,0.5,1",
    protocols: str = "",
    only: str = "",
    format: options.Format = "auto",  # noqa: A002
    on_bad: options.OnBad = "stop",
    column: options.Columns = (),
    label_map: options.LabelMap = None,
    rescan: options.Rescan = False,
) -> None:
    """Test stored models on shifted test photographs, and report how far they fall.

    Every model of the run predicts the test photographs that it had not seen, with more or less of
    either stain, in other light, blurred, compressed, at fewer pixels, or at another effective
    magnification. Writes robustness.parquet and robustness.json into the run, and its report anew.

    Parameters
    ----------
    run
        A run folder, or a study's: then every run that is done, where it stopped the last time.
    data
        The photographs that it was trained on.
    shifts
        Comma-separated: haematoxylin-more, haematoxylin-less, eosin-more, eosin-less, brighter,
        darker, warmer, cooler, blur, jpeg, resolution, zoom-in, zoom-out; all by default.
    severities
        Comma-separated, above 0 and up to 1.
    protocols
        Comma-separated protocols of the run; all by default. For fine-tuned networks each takes as
        long as the others.
    only
        Of a study's runs those whose key, label or group holds this text.
    """
    from magnostic.cli.robustness_table import print_falls
    from magnostic.errors import BadInput
    from magnostic.files import read_object
    from magnostic.lock import locked
    from magnostic.preprocess.shifts import SHIFTS
    from magnostic.progress import say
    from magnostic.report import write_card, write_report, write_study
    from magnostic.stored import as_written, inside
    from magnostic.train.robustness import is_measured, measure_run

    names = _listed(shifts) or list(SHIFTS)
    try:
        levels = [float(value) for value in _listed(severities)]
    except ValueError:
        raise BadInput(f"--severities {severities}: give numbers, as 0.25,0.5,1") from None
    chosen = _listed(protocols)
    is_study = (run / "study.json").is_file()
    folders = [run]
    if only and not is_study:
        raise BadInput(f"--only {only}: {run} is one run; give a study's folder")
    if is_study:
        with as_written(run / "study.json", then="carry out the study again"):
            entries = read_object(run / "study.json").get("entries", [])
            fits = [
                e
                for e in entries
                if any(only.lower() in str(e.get(k, "")).lower() for k in ("key", "label", "group"))
            ]
            done = dict.fromkeys(e["path"] for e in fits if e["status"] == "done")
        if not fits:
            raise BadInput(f"--only {only!r}: fits no run of {run}")
        if not done:
            raise BadInput(f"{run}: no run of this study is done; carry it out first")
        folders = [inside(run, path) for path in done]
    images = options.read(data, format, on_bad, column, label_map, rescan=rescan)
    for number, folder in enumerate(folders, start=1):
        if is_study:
            say(f"[{number}/{len(folders)}] {folder.name}")
        if not (is_study and is_measured(folder, names, levels, chosen)):
            with locked(folder, make=False):
                measure_run(folder, images, names, levels, chosen)
                write_card(folder)
                write_report(folder)
    if is_study:
        with locked(run):
            print(f"report: {write_study(run)}")
    else:
        print_falls(run)
        print(f"report: {run / 'report.html'}")


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
