"""magnostic at the same jobs, through its Python interface; run by ``run.py`` beside the others.

The cache (``$MAGNOSTIC_CACHE``) is a fresh folder, so that indexing, decoding and features are
paid for in each run. ``probe`` is the recipe ``best-cpu`` on the split given, up to the written
model and predictions, with what a job with a validation part allows: c is chosen on it, as eva
chooses its epoch; classes weigh as they come, as in eva and fastai. ``finetune`` takes the
optimizer and learning rate of the paper's recipes and no augmentation. ``--option weights=…`` names
the weights as a recipe does, ``recipe=…`` another recipe; ``--option model=FOLDER`` is the trained
model that predicts.
"""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from _job import Clock, Job, finish, read

from magnostic import deploy, recipe_file
from magnostic.data import read_images
from magnostic.data.scan import find_images
from magnostic.recipe import Recipe
from magnostic.splits.table import Parts
from magnostic.train import child, device
from magnostic.train.experiment import Experiment, load_source, resolve

#: What both trained recipes say beside their method.
COMMON = ["--task=label", "--data.duplicates=keep", "--data.double-labels=keep"]


#: Strengths among which a probe chooses on the validation part.
CHOICE = "[0.001, 0.01, 0.1, 1, 10]"


def probe_recipe(job: Job) -> Recipe:
    weights = job.options.get("weights", "none")
    which = [f"--model.backbone={job.backbone}", f"--model.weights={weights}"]
    head = [f"--train.c={CHOICE}", "--balance.method=none", "--split.val_fraction=0.17"]
    name = job.options.get("recipe", "best-cpu")
    return recipe_file.load(Path(name), [*COMMON, *which, *head])


def finetune_recipe(job: Job) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "finetune",
            "task": "label",
            "data": {"duplicates": "keep", "double_labels": "keep"},
            "model": {"backbone": job.backbone, "weights": job.options.get("weights", "none")},
            "train": {
                "method": "finetune",
                "epochs": job.epochs,
                "batch_size": job.batch_size,
                "lr": 3e-4,
                "weight_decay": 1e-4,
            },
        }
    )


def parts_of(job: Job) -> Parts:
    """The split given, as a run's own split table."""
    names = [(name, part) for part in job.parts for name in job.parts[part]]
    table = pd.DataFrame(names, columns=["image_id", "part"])
    table = table.assign(protocol="random", repeat=0, fold=0).astype(
        {"repeat": "int16", "fold": "int16"}
    )
    return Parts(table[["image_id", "protocol", "repeat", "fold", "part"]], {"folds": 1})


def train(job: Job, recipe: Recipe) -> tuple[Clock, dict[str, int]]:
    """From files to a written model and its predictions of the test part."""
    clock = Clock()
    device.threads()
    recipe = resolve(recipe)
    images = read_images(job.images, format="folders")
    clock.stage("index")
    experiment = Experiment(recipe, images, load_source(recipe))
    predictions, _ = child.train_child(experiment, parts_of(job), job.work)
    table = predictions.where(part="test").table
    order = [job.classes.index(name) for name in experiment.classes]
    columns = [f"p_{name}" for name in experiment.classes]
    best = table[columns].to_numpy().argmax(axis=1)
    clock.stage("train and test")
    return clock, {name: order[i] for name, i in zip(table["image_id"], best.tolist(), strict=True)}


def probe(job: Job) -> None:
    clock, predicted = train(job, probe_recipe(job))
    finish(job, "magnostic", clock.seconds, predicted)


def finetune(job: Job) -> None:
    clock, predicted = train(job, finetune_recipe(job))
    lines = (job.work / "history.jsonl").read_text(encoding="utf-8").splitlines()
    finish(
        job, "magnostic", clock.seconds, predicted, [json.loads(line)["seconds"] for line in lines]
    )


def predict_files(folder: Path, job: Job) -> dict[str, int]:
    """Class index of each photograph by the model in ``folder``, from files."""
    predictor = deploy.load(folder)
    files = find_images(job.images)
    table = predictor.predict(files)
    names = [file.relative_to(job.images).as_posix() for file in files]
    found = [job.classes.index(name) for name in table["y_pred"]]
    return dict(zip(names, found, strict=True))


def predict_(job: Job) -> None:
    clock = Clock()
    found = predict_files(Path(job.options["model"]), job)
    clock.stage("predict")
    finish(job, "magnostic", clock.seconds, found)


if __name__ == "__main__":
    jobs = {"probe": probe, "finetune": finetune, "predict": predict_}
    job = read(list(jobs))
    jobs[job.name](job)
