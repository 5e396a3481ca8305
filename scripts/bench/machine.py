"""What the figures were measured on."""

import importlib.metadata
import os
import pathlib

# Zen 4, by the model numbers of family 25.
_ANCHOR_MODELS = [range(0x10, 0x20), range(0x60, 0x80), range(0xA0, 0xB0)]


def cpu(text=None):
    """Of the first processor in /proc/cpuinfo."""
    text = pathlib.Path("/proc/cpuinfo").read_text() if text is None else text
    first = dict(part.split(":", 1) for part in text.split("\n\n")[0].splitlines() if ":" in part)
    first = {name.strip(): value.strip() for name, value in first.items()}
    return {"name": first.get("model name", "unknown"), "vendor": first.get("vendor_id", "unknown"),
            "family": int(first.get("cpu family", -1)), "model": int(first.get("model", -1)), "cores": os.cpu_count()}


def is_anchor(described):
    """Whether diffusers' share of brgemm is known on such a CPU."""
    return (described["vendor"] == "AuthenticAMD" and described["family"] == 25
            and any(described["model"] in models for models in _ANCHOR_MODELS))


def _installed(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def versions(requirements, version_of=_installed):
    """What this python has of the packages that the text of a requirements.txt pins."""
    pins = dict(line.split("==") for line in requirements.splitlines() if "==" in line and not line.startswith("#"))
    return {package: {"pinned": pin, "found": version_of(package)} for package, pin in pins.items()}


def off_pins(found):
    """A warning for each version that is another than the one the targets were set with."""
    # PyTorch says besides which GPU it was built for: 2.11.0+cu130.
    return [f"WARNING: {package} is {version['found']}, wanted {version['pinned']}" for package, version in found.items()
            if version["found"].split("+")[0] != version["pinned"]]
