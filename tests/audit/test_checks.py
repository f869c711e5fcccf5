import pytest

from magnostic.audit import audit_images, audit_parts
from magnostic.audit.checks import (
    accessions_apart,
    classes_present,
    patients_apart,
    patients_known,
    pixels_apart,
    pixels_unique,
    slides_have_one_label,
)
from magnostic.data import read_images

SCOPE = "patient/r0f0"


def _labels(images):
    return images.table.set_index("image_id")["label"]


def test_clean_parts_pass_every_check(images, make_parts) -> None:
    parts = make_parts("accession")
    findings = audit_parts(images.table, parts, images.table["label"], "accession/r0f0")
    assert [f.code for f in findings] == ["MG001", "MG002", "MG004", "MG005"]
    assert {f.status for f in findings} == {"passed"}
    assert {f.status for f in audit_images(images)} == {"passed"}


def test_mg001_patient_on_both_sides(images, make_parts) -> None:
    found = patients_apart(images.table, make_parts(i12="train"), SCOPE)
    assert (found.code, found.status, found.ids) == ("MG001", "issue", ("p6",))
    assert "1 of 2 patients in the test part is in train" in found.message
    assert "split.protocols patient" in found.message
    found = patients_apart(images.table, make_parts("random", i12="val"), "random/r0f0")
    assert found.status == "issue"
    assert "what the random protocol measures" in found.message
    found = patients_apart(images.table, make_parts(i08="train"), SCOPE)
    assert (found.status, found.ids) == ("tip", ("p4",))


def test_mg001_without_patients(images, make_parts) -> None:
    table = images.table.assign(patient_id=None)
    found = patients_apart(table, make_parts(), SCOPE)
    assert (found.status, found.ids) == ("tip", ())
    assert "no patient is known" in found.message
    some = images.table.copy()
    some.loc[0, "patient_id"] = None
    assert "1 of 16 images has no patient" in patients_apart(some, make_parts(), SCOPE).message


def test_mg001_images_without_a_patient(images) -> None:
    assert patients_known(images.table) is None
    some = images.table.copy()
    some.loc[[0, 3], "patient_id"] = None
    found = patients_known(some)
    assert found is not None
    assert (found.code, found.status, found.scope) == ("MG001", "tip", "images")
    assert found.ids == ("i00", "i03")
    assert found.message.startswith("Can't be checked for 2 of 16 images: no patient; ")
    assert "column patient" in found.message


def test_mg002_same_pixels_under_two_names(images) -> None:
    table = images.table.copy()
    table.loc[[2, 4], "pixel_hash"] = "same"
    found = pixels_unique(table)
    assert (found.code, found.status, found.ids) == ("MG002", "tip", ("i02", "i04"))
    assert "2 photographs share their pixels in 1 set, 1 of them under different" in found.message


def test_mg002_same_pixels_on_both_sides(images, make_parts) -> None:
    table = images.table.copy()
    table.loc[[0, 15], "pixel_hash"] = "same"
    found = pixels_apart(table, make_parts(), SCOPE)
    assert (found.status, found.ids) == ("issue", ("i00", "i15"))
    table.loc[[1, 8], "pixel_hash"] = "alike"
    table.loc[15, "pixel_hash"] = "other"
    found = pixels_apart(table, make_parts(), SCOPE)
    assert (found.status, found.ids) == ("tip", ("i01", "i08"))
    assert pixels_apart(table.assign(pixel_hash=None), make_parts(), SCOPE).status == "tip"


def test_mg003_one_slide_with_two_labels(images) -> None:
    table = images.table.copy()
    table.loc[1, "label"] = "malignant"
    found = slides_have_one_label(table)
    assert (found.code, found.status, found.ids) == ("MG003", "issue", ("i00", "i01"))
    assert "one label: slide p0 (benign: 1 image, malignant: 1 image)" in found.message
    assert slides_have_one_label(table.assign(slide_id=None)).status == "tip"


def test_mg004_accession_siblings(images, make_parts) -> None:
    parts = make_parts(i10="test", i11="test")  # patient p5; its accession a2 has p4 in val
    assert patients_apart(images.table, parts, SCOPE).status == "passed"
    found = accessions_apart(images.table, parts, SCOPE)
    assert (found.code, found.status, found.ids) == ("MG004", "issue", ("a2",))
    assert "split.protocols accession" in found.message
    found = accessions_apart(images.table.assign(accession=None), parts, SCOPE)
    assert found.status == "tip"
    assert found.message.startswith("Can't be checked: no lab number (accession) is known; ")


@pytest.mark.parametrize("part, status", [("train", "issue"), ("test", "issue"), ("val", "tip")])
def test_mg005_class_absent_from_a_part(images, make_parts, part, status) -> None:
    parts = make_parts()
    y = _labels(images)
    y[parts.ids(part).tolist()] = "benign"
    found = classes_present(images.table, parts, y, SCOPE)
    assert (found.code, found.status, found.ids) == ("MG005", status, ("malignant",))
    assert f"No image of malignant in {part}" in found.message


def test_mg005_fewer_groups_than_folds(images, make_parts) -> None:
    y = _labels(images)
    found = classes_present(images.table, make_parts(folds=5), y, SCOPE)
    assert (found.status, found.ids) == ("issue", ("benign", "malignant"))
    assert "Class benign has 4 groups for 5 folds" in found.message
    assert classes_present(images.table, make_parts(folds=4), y, SCOPE).status == "passed"
    random = classes_present(images.table, make_parts("random", folds=5), y, SCOPE)
    assert random.status == "passed"


def test_mg005_without_classes(images, make_parts) -> None:
    found = classes_present(images.table, make_parts(), _labels(images).iloc[4:], SCOPE)
    assert found.status == "tip"
    assert "the class of 4 images is not known" in found.message


def test_the_genuine_sample(breakhis_sample) -> None:
    images = read_images(breakhis_sample)
    pixels, slides = audit_images(images)
    assert (pixels.code, pixels.status) == ("MG002", "tip")
    assert pixels.ids == (
        "SOB_M_DC-14-13412-100-001",
        "SOB_M_DC-14-13412-100-025",
        "SOB_M_LC-14-13412-100-001",
        "SOB_M_LC-14-13412-100-025",
    )
    assert "2 of them under different labels" in pixels.message
    assert (slides.code, slides.status) == ("MG003", "issue")
    assert "14-13412 (DC: 4 images, LC: 3 images)" in slides.message
    assert len(slides.ids) == 7
