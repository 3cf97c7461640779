"""What the simulator knows of hardware, models, prices, failures, starts and spot markets, from the YAML files here."""

import difflib
import json
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sim.catalog import store
from sim.catalog.huggingface import from_config
from sim.catalog.types import (
    Accuracy,
    Device,
    FailurePreset,
    Gpu,
    Link,
    Model,
    Price,
    SpotDiscounts,
    SpotPreset,
    StartupPreset,
)
from sim.errors import InputError
from sim.units import GIB

STAGES = ("provision", "boot", "image", "process", "compile", "warm")
"""Stages of a start whose times the catalogue has."""


def gpu_ids() -> tuple[str, ...]:
    """Ids of the GPUs, in the catalogue's order."""
    return tuple(store.entries("gpus.yaml"))


def model_ids() -> tuple[str, ...]:
    """Ids of the models, in the catalogue's order."""
    return tuple(store.entries("models.yaml"))


def catalogue_sha256() -> str:
    """SHA-256 of the catalogue's files."""
    return store.sha256()


@cache
def gpu(gpu_id: str) -> Gpu:
    """Return one GPU in its usual node.

    Raises:
        InputError: The id is unknown.
    """
    entry = _entry("gpus.yaml", "GPU", gpu_id)
    node = store.entries("nodes.yaml")[entry["node"]]
    return Gpu(
        id=gpu_id,
        memory_bytes=int(entry["memory_gib"] * GIB),
        hbm_bytes_per_s=entry["hbm_bytes_per_s"],
        bf16_flops=entry["bf16_flops"],
        fp8_flops=entry.get("fp8_flops"),
        int8_flops=entry.get("int8_flops"),
        fp4_flops=entry.get("fp4_flops"),
        tdp_w=entry["tdp_w"],
        nvlink_bytes_per_s=node["nvlink_bytes_per_s"],
        pcie_bytes_per_s=node["pcie_bytes_per_s"],
        nic_bytes_per_s=node["nic_bytes_per_s"],
        gpus_per_node=node["gpus_per_node"],
        cuda_graph_max=entry["cuda_graph_max"],
        source=f"{entry['source']}; node {entry['node']}: {node['source']}",
        date=str(entry["date"]),
        compute_capability=entry["compute_capability"],
    )


def model(id_or_path: str, base_dir: Path) -> Model:
    """Return a model of the catalogue, or read a Hugging Face config.json.

    Args:
        id_or_path: A catalogue id; or a path that ends in .json, relative to `base_dir`.
        base_dir: The folder of the scenario file.

    Raises:
        InputError: The id is unknown, or the file is missing, no JSON, or lacks a field.
    """
    if id_or_path.endswith(".json"):
        return _read(id_or_path, base_dir / id_or_path)
    return _known_model(id_or_path)


@cache
def _known_model(model_id: str) -> Model:
    entry = _entry("models.yaml", "model", model_id, hint=", or the path of a Hugging Face config.json")
    known = from_config(model_id, entry["config"], f"models.yaml: {model_id}", entry["source"], str(entry["date"]))
    return replace(
        known, parameters=entry["published_parameters"], active_parameters=entry["published_active_parameters"]
    )


def _read(name: str, path: Path) -> Model:
    config = _json_object(path)
    beside = path.with_name("hf_quant_config.json")  # where NVIDIA's ModelOpt puts the quantisation
    if "quantization_config" not in config and beside.is_file():
        quantization = _json_object(beside).get("quantization")
        if not isinstance(quantization, dict):
            raise InputError(f"{beside}: quantization must be a mapping, found {quantization!r}")
        config["quantization_config"] = {"quant_method": "modelopt", **quantization}
    return from_config(name, config, str(path), source=str(path), date="undated")


def _json_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot read the model's config: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: expected a Hugging Face config, found a file that is not JSON") from None
    if not isinstance(found, dict):
        raise InputError(f"{path}: expected a Hugging Face config, found JSON that is not an object")
    return found


def price(gpu_id: str, market: Literal["on_demand", "spot", "reserved"]) -> Price | None:
    """Return the list price of a GPU on a market, or None where none is known."""
    entry = store.entries("prices.yaml").get(gpu_id, {}).get(market)
    if entry is None:
        return None
    return Price(
        gpu=gpu_id,
        market=market,
        usd_per_gpu_hour=entry["median"],
        low=entry["low"],
        high=entry["high"],
        source=entry["source"],
        date=str(entry["date"]),
    )


def device(device_id: str) -> Device:
    """Return a device that is not a GPU; InputError if there is none of that name."""
    return Device(id=device_id, **_dated("devices.yaml", "device", device_id))


def link(link_id: str) -> Link:
    """Return a link between devices; InputError if there is none of that name."""
    return Link(id=link_id, **_dated("links.yaml", "link", link_id))


def accuracy(accuracy_id: str) -> Accuracy:
    """Return the published accuracy of a quantised model; InputError if there is none of that name."""
    return Accuracy(id=accuracy_id, **_dated("accuracy.yaml", "quantised model", accuracy_id))


def failure_preset(preset_id: str) -> FailurePreset:
    """Return a measured failure rate; InputError if there is none of that name."""
    return FailurePreset(id=preset_id, **_dated("failures.yaml", "failure preset", preset_id))


def startup_preset(preset_id: str) -> StartupPreset:
    """Return a set of stage times of a start; InputError if there is none of that name."""
    entry = _dated("startup.yaml", "startup preset", preset_id)
    return StartupPreset(id=preset_id, stages={stage: entry.pop(stage) for stage in STAGES}, **entry)


def spot_preset(preset_id: str) -> SpotPreset:
    """Return the hazard of a spot market; InputError if there is none of that name."""
    return SpotPreset(id=preset_id, **_dated("spot.yaml", "spot preset", preset_id))


def spot_preset_ids() -> tuple[str, ...]:
    """Ids of the spot markets, in the catalogue's order."""
    return tuple(store.entries("spot.yaml"))


def spot_discounts(instance: str) -> SpotDiscounts:
    """Return the spot discounts of an instance type; InputError if none are known."""
    return SpotDiscounts(instance=instance, **_dated("discounts.yaml", "instance", instance))


def discounted_instances() -> tuple[str, ...]:
    """Instance types whose spot discounts are known, in the catalogue's order."""
    return tuple(store.entries("discounts.yaml"))


def _dated(file: str, kind: str, key: str) -> dict[str, Any]:
    """A copy of an entry, its date as text."""
    entry = _entry(file, kind, key)
    return entry | {"date": str(entry["date"])}


def _entry(file: str, kind: str, key: str, hint: str = "") -> dict[str, Any]:
    known = store.entries(file)
    if key not in known:
        raise InputError(f"unknown {kind} {key!r}{_meant(key, known)}; known: {', '.join(known)}{hint}")
    return known[key]


def _meant(key: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(key.lower(), known, n=1)
    return f", did you mean {close[0]!r}" if close else ""
