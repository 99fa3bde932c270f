"""What is known of a training before it starts: sizes of known models, downloads, speed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from movielora.config import resolve_config
from movielora.machine.gpu import Gpu
from movielora.model.estimates.download import plan_download
from movielora.model.estimates.known_models import KNOWN_MODELS
from movielora.model.estimates.memory import find_shape, parameters, read_shape, setup_here
from movielora.model.estimates.speed import cpu_hardware, gpu_hardware, seconds_per_example
from movielora.model.hub import is_cached

# The counts that the models' pages name: all parameters, and those without the embeddings.
PUBLISHED = {
    "Qwen/Qwen3-0.6B": (0.6e9, 0.44e9),
    "Qwen/Qwen3-1.7B": (1.7e9, 1.4e9),
    "Qwen/Qwen3-4B": (4.0e9, 3.6e9),
    "Qwen/Qwen3-8B": (8.2e9, 6.95e9),
}
# What safetensors files of the four hold: the two small ones store the tied head beside the embedding.
STORED = {
    "Qwen/Qwen3-0.6B": 596_049_920 + 151_936 * 1024,
    "Qwen/Qwen3-1.7B": 1_720_574_976 + 151_936 * 2048,
    "Qwen/Qwen3-4B": 4_022_468_096,
    "Qwen/Qwen3-8B": 8_190_735_360,
}


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache and a hub that must not be asked; the cache's folder."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_shape_of_a_known_model_adds_up_to_its_published_size(name: str, no_network: Path) -> None:
    shape = find_shape(resolve_config(None, [f"model_name_or_path={name}"]))
    total, without_embeddings = PUBLISHED[name]
    assert parameters(shape) == pytest.approx(total, rel=0.015)
    embeddings = shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    assert parameters(shape) - embeddings == pytest.approx(without_embeddings, rel=0.015)
    assert KNOWN_MODELS[name].stored_weights == STORED[name]
    twice = shape.vocabulary * shape.hidden if name in ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B") else 0
    assert STORED[name] == parameters(shape) + twice


def test_parameters_are_those_of_the_library(tiny_base: Path) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_base)
    shape = read_shape(json.loads((tiny_base / "config.json").read_text(encoding="utf-8")))
    assert parameters(shape) == sum(each.numel() for each in model.parameters())


def test_a_folder_wins_over_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "Qwen" / "Qwen3-0.6B"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({**KNOWN_MODELS["Qwen/Qwen3-0.6B"].config, "num_hidden_layers": 3}))
    monkeypatch.chdir(tmp_path)
    assert find_shape(resolve_config(None)).layers == 3


def cache(hub: Path, name: str, files: dict[str, bytes]) -> None:
    """Files of `name` as the hub's client keeps them."""
    repository = hub / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("0" * 40)
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text("0" * 40)
    for number, (file, content) in enumerate(files.items()):
        blob = repository / "blobs" / f"{number}{file}"
        blob.write_bytes(content)
        (snapshot / file).symlink_to(blob)


def test_what_is_cached_is_not_downloaded_again(no_network: Path) -> None:
    name = "Qwen/Qwen3-8B"
    shape = read_shape(KNOWN_MODELS[name].config)
    nothing = plan_download(name, Path(name), shape)
    # 8,190,735,360 weights of two bytes, and the tokenizer's files
    assert (nothing.total_bytes, nothing.missing_bytes) == (16_381_470_720 + 16_000_000, nothing.total_bytes)
    assert nothing.cache == str(no_network)
    index = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode()
    files = {"config.json": b"{}", "tokenizer.json": b"{}", "model.safetensors.index.json": index}
    cache(no_network, name, {**files, "model-1.safetensors": b"x" * 1000})
    (no_network / "models--Qwen--Qwen3-8B" / "blobs" / "9.incomplete").write_bytes(b"x" * 5000)
    assert not is_cached(name)  # an interrupted download: the second file of the weights is not there
    half = plan_download(name, Path(name), shape)
    assert half.missing_bytes == half.total_bytes - 1000 - 4 - len(index)
    cache(no_network, "Qwen/whole", {**files, "model-1.safetensors": b"x", "model-2.safetensors": b"x"})
    assert is_cached("Qwen/whole")
    assert plan_download("Qwen/whole", Path("Qwen/whole"), shape).missing_bytes == 0


def test_a_model_that_is_here_needs_no_download(tiny_base: Path) -> None:
    shape = read_shape(KNOWN_MODELS["Qwen/Qwen3-0.6B"].config)
    assert plan_download(str(tiny_base), tiny_base, shape).total_bytes == 0
    assert plan_download("tiny", Path("tiny"), shape).total_bytes == 0


def test_the_time_of_an_example_is_arithmetic_or_launches() -> None:
    """Worked by hand: 28 layers of 15,728,640 weights, 4 operations each; 10,092,544 trained ones, 6 each."""
    shape = read_shape(KNOWN_MODELS["Qwen/Qwen3-0.6B"].config)
    config = resolve_config(None, ["use_qlora=false", "per_device_train_batch_size=16"]).values
    card = gpu_hardware("NVIDIA GeForce RTX 3090", half_precision=True)
    assert card.flops == pytest.approx(71e12 * 0.35)
    many = setup_here(config, [Gpu("NVIDIA GeForce RTX 3090", 24 << 30, 0, "8.6")])
    work = 4 * 28 * 15_728_640 + 6 * 10_092_544
    assert seconds_per_example(shape, many, 355, card) == pytest.approx(work * 355 / (71e12 * 0.35))
    two = config.model_copy(update={"per_device_train_batch_size": 2})
    few = setup_here(two, [Gpu("NVIDIA H100 80GB HBM3", 80 << 30, 0, "9.0")])
    fast = gpu_hardware("NVIDIA H100 80GB HBM3", half_precision=True)
    # 28 layers × 230 kernels × 7.5 µs, for two rows
    assert seconds_per_example(shape, few, 355, fast) == pytest.approx(28 * 230 * 7.5e-6 / 2)


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA A10G", 70),
        ("Tesla T4", 65),
        ("NVIDIA GeForce RTX 3090 Ti", 71),
    ],
)
def test_a_card_is_known_by_the_drivers_name(name: str, teraflops: int) -> None:
    found = gpu_hardware(name, half_precision=True)
    assert found.flops == pytest.approx(teraflops * 1e12 * 0.35)
    assert "assumed" not in found.how


def test_an_unknown_card_is_said_to_be_unknown() -> None:
    assert "this GPU is not known" in gpu_hardware("NVIDIA GeForce GTX 9999", half_precision=True).how


def test_the_processor_counts_the_cores_that_a_training_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cpu_hardware(half_precision=False).name == "1 CPU core"
    monkeypatch.setenv("OMP_NUM_THREADS", "0")
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2})
    assert cpu_hardware(half_precision=False).name == "3 CPU cores"
