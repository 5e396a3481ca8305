"""Tiny random CogVideoX checkpoints, one per kind: configs, and mean and spread of every tensor.

No value is trivial, so that a forgotten bias or a swapped weight shows. The scales follow two aims: signals keep a
size of about one on their way to an output, and most norms read values of about 0.01 to 0.05, where an epsilon of
1e-5 instead of 1e-6 (or none) moves the result by more than fp32 rounding does.
"""

import dataclasses
import importlib.metadata
import math

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
from transformers import T5Config, T5EncoderModel

from goldens.values import component_sha256, golden_tensor

DIFFUSERS_VERSION = "0.42.1"


@dataclasses.dataclass(frozen=True)
class Spec:
    """What tells one tiny checkpoint from another."""

    name: str
    transformer: dict
    vae: dict
    scheduler: dict
    hidden_scale: float  # size of the transformer's hidden text states and of what a block adds
    video_scale: float  # size of the embedded patches; sincos positions of size 0.5 come on top
    final_norm_mean: float = 1.0  # norm_final's weight; small, norm_out's epsilon shows
    pipeline: str = "CogVideoXPipeline"


_SMALL_VAE = dict(block_out_channels=[4, 8, 8, 12], norm_num_groups=2, layers_per_block=1, sample_height=96,
                  sample_width=80)
_DPM = dict(_class_name="CogVideoXDPMScheduler", snr_shift_scale=1.0)
_1_5 = dict(attention_head_dim=64, num_layers=2, sample_height=24, sample_width=48, sample_frames=17, patch_size_t=2,
            patch_bias=False, use_rotary_positional_embeddings=True, use_learned_positional_embeddings=False)

SPECS = {
    "tiny-2b": Spec(
        name="tiny-2b",
        transformer=dict(num_attention_heads=3, attention_head_dim=64, num_layers=2, sample_height=14, sample_width=12),
        vae=dict(block_out_channels=[8, 16, 16, 24], norm_num_groups=4, layers_per_block=3, sample_height=192,
                 sample_width=160, scaling_factor=1.15258426),
        scheduler=dict(_class_name="CogVideoXDDIMScheduler", snr_shift_scale=3.0),
        hidden_scale=0.2,
        video_scale=0.4,
    ),
    "tiny-5b": Spec(
        name="tiny-5b",
        transformer=dict(num_attention_heads=5, attention_head_dim=64, num_layers=2, sample_height=12, sample_width=20,
                         use_rotary_positional_embeddings=True),
        vae=dict(block_out_channels=[6, 12, 12, 18], norm_num_groups=3, layers_per_block=1, sample_height=96,
                 sample_width=160, scaling_factor=0.7),
        scheduler=dict(_class_name="CogVideoXDPMScheduler", snr_shift_scale=1.0),
        hidden_scale=0.015,
        video_scale=0.015,
        final_norm_mean=0.02,
    ),
    "tiny-30x16": Spec(
        name="tiny-30x16",
        transformer=dict(num_attention_heads=30, attention_head_dim=16, num_layers=1, sample_height=10, sample_width=14,
                         max_text_seq_length=24),
        vae=dict(block_out_channels=[4, 8, 8, 12], norm_num_groups=2, layers_per_block=1, sample_height=96,
                 sample_width=80, scaling_factor=1.15258426),
        scheduler=dict(_class_name="CogVideoXDDIMScheduler", snr_shift_scale=3.0),
        hidden_scale=0.3,
        video_scale=0.5,
        final_norm_mean=0.02,
    ),
    "tiny-5b-i2v": Spec(
        name="tiny-5b-i2v",
        transformer=dict(num_attention_heads=3, attention_head_dim=64, num_layers=2, sample_height=8, sample_width=16,
                         in_channels=32, use_rotary_positional_embeddings=True,
                         use_learned_positional_embeddings=True),
        vae=_SMALL_VAE | dict(scaling_factor=0.7),
        scheduler=_DPM,
        hidden_scale=0.015,
        video_scale=0.015,
        final_norm_mean=0.02,
        pipeline="CogVideoXImageToVideoPipeline",
    ),
    "tiny-1.5": Spec(
        name="tiny-1.5",
        transformer=_1_5 | dict(num_attention_heads=3),
        vae=_SMALL_VAE | dict(scaling_factor=0.7, invert_scale_latents=True),
        scheduler=_DPM,
        hidden_scale=0.015,
        video_scale=0.015,
        final_norm_mean=0.02,
    ),
    "tiny-1.5-i2v": Spec(
        name="tiny-1.5-i2v",
        transformer=_1_5 | dict(num_attention_heads=5, num_layers=1, in_channels=32, ofs_embed_dim=32),
        vae=_SMALL_VAE | dict(scaling_factor=0.7, invert_scale_latents=True),
        scheduler=_DPM,
        hidden_scale=0.015,
        video_scale=0.015,
        final_norm_mean=0.02,
        pipeline="CogVideoXImageToVideoPipeline",
    ),
    "tiny-fun-2b": Spec(
        name="tiny-fun-2b",
        transformer=dict(num_attention_heads=12, attention_head_dim=16, num_layers=2, sample_height=10,
                         sample_width=14, in_channels=32, max_text_seq_length=24),
        vae=_SMALL_VAE | dict(scaling_factor=1.15258426),
        # As the published repositories have it; pipelines make the generic class from it, which ignores the shift.
        scheduler=dict(_class_name="CogVideoXDDIMScheduler", snr_shift_scale=3.0),
        hidden_scale=0.2,
        video_scale=0.4,
        final_norm_mean=0.02,
        pipeline="CogVideoXFunControlPipeline",
    ),
    "tiny-fun-5b": Spec(
        name="tiny-fun-5b",
        transformer=dict(num_attention_heads=7, attention_head_dim=32, num_layers=2, sample_height=12, sample_width=20,
                         in_channels=32, max_text_seq_length=24, use_rotary_positional_embeddings=True),
        vae=_SMALL_VAE | dict(scaling_factor=0.7),
        scheduler=dict(_class_name="DDIMScheduler"),
        hidden_scale=0.015,
        video_scale=0.015,
        final_norm_mean=0.02,
        pipeline="CogVideoXFunControlPipeline",
    ),
}
ORIGINAL = ("tiny-2b", "tiny-5b", "tiny-30x16")  # text to video of 1.0, with every part on its own


def versions() -> dict:
    found = {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers", "numpy")}
    if found["diffusers"] != DIFFUSERS_VERSION:
        raise RuntimeError(f"diffusers is {found['diffusers']}; the goldens are made with {DIFFUSERS_VERSION}")
    return found


def configs(spec: Spec) -> dict:
    """The config.json of every component, plus model_index.json."""
    transformer = dict(
        _class_name="CogVideoXTransformer3DModel", _diffusers_version=DIFFUSERS_VERSION,
        activation_fn="gelu-approximate", attention_bias=True, dropout=0.0, flip_sin_to_cos=True, freq_shift=0,
        in_channels=16, max_text_seq_length=226, norm_elementwise_affine=True, norm_eps=1e-5, out_channels=16,
        patch_size=2, sample_frames=9, spatial_interpolation_scale=1.875, temporal_compression_ratio=4,
        temporal_interpolation_scale=1.0, text_embed_dim=32, time_embed_dim=32, timestep_activation_fn="silu",
        use_rotary_positional_embeddings=False)
    vae = dict(
        _class_name="AutoencoderKLCogVideoX", _diffusers_version=DIFFUSERS_VERSION, act_fn="silu",
        down_block_types=["CogVideoXDownBlock3D"] * 4, up_block_types=["CogVideoXUpBlock3D"] * 4, force_upcast=True,
        in_channels=3, out_channels=3, latent_channels=16, latents_mean=None, latents_std=None, shift_factor=None,
        norm_eps=1e-6, temporal_compression_ratio=4, use_quant_conv=False, use_post_quant_conv=False)
    text_encoder = dict(
        architectures=["T5EncoderModel"], model_type="t5", d_model=32, d_kv=8, d_ff=64, num_heads=4, num_layers=2,
        vocab_size=32128, relative_attention_num_buckets=32, relative_attention_max_distance=128,
        layer_norm_epsilon=1e-6, feed_forward_proj="gated-gelu", dense_act_fn="gelu_new", is_gated_act=True,
        dropout_rate=0.1, initializer_factor=1.0, is_encoder_decoder=True, pad_token_id=0, eos_token_id=1,
        tie_word_embeddings=False, use_cache=True)
    scheduler = dict(
        _diffusers_version=DIFFUSERS_VERSION, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
        num_train_timesteps=1000, prediction_type="v_prediction", rescale_betas_zero_snr=True, set_alpha_to_one=True,
        timestep_spacing="trailing", steps_offset=0, clip_sample=False, clip_sample_range=1.0, sample_max_value=1.0,
        trained_betas=None)
    model_index = dict(
        _class_name=spec.pipeline, _diffusers_version=DIFFUSERS_VERSION,
        scheduler=["diffusers", spec.scheduler["_class_name"]], text_encoder=["transformers", "T5EncoderModel"],
        tokenizer=["transformers", "T5Tokenizer"], transformer=["diffusers", "CogVideoXTransformer3DModel"],
        vae=["diffusers", "AutoencoderKLCogVideoX"])
    return {"model_index": model_index, "scheduler": scheduler | spec.scheduler, "text_encoder": text_encoder,
            "transformer": transformer | spec.transformer, "vae": vae | spec.vae}


def without_class(config: dict) -> dict:
    return {key: value for key, value in config.items() if not key.startswith("_")}


def empty_models(config: dict) -> dict[str, torch.nn.Module]:
    models = {
        "text_encoder": T5EncoderModel(T5Config(**config["text_encoder"])),
        "transformer": CogVideoXTransformer3DModel(**without_class(config["transformer"])),
        "vae": AutoencoderKLCogVideoX(**without_class(config["vae"])),
    }
    return {name: model.eval().requires_grad_(False) for name, model in models.items()}


def _fan_in(shape) -> int:
    return math.prod(shape[1:])


def _text_encoder_rule(name: str, shape, spec: Spec) -> tuple[float, float]:
    if "layer_norm" in name:
        return (0.9, 0.25)
    if name == "shared.weight":
        return (0.0, 0.02)
    if "relative_attention_bias" in name:
        return (0.1, 1.0)
    gain = {"q": 0.8, "k": 0.8, "v": 1.0, "o": 0.03, "wi_0": 1.2, "wi_1": 1.0, "wo": 0.05}[name.split(".")[-2]]
    return (0.0, gain / math.sqrt(shape[1]))


def _transformer_gain(name: str, spec: Spec) -> float:
    """Output size of a linear layer whose input has size one."""
    scale = spec.hidden_scale
    small = {"patch_embed.proj": spec.video_scale, "patch_embed.text_proj": scale, "to_q": 0.012, "to_k": 0.012,
             "to_out.0": 4.0 * scale, "ff.net.0.proj": 1.6, "ff.net.2": 2.5 * scale}
    for ending, gain in small.items():
        if name.endswith(ending):
            return gain
    if name.endswith(("norm1.linear", "norm2.linear", "norm_out.linear")):
        return 0.8
    return 1.4 if "time_embedding" in name else 1.0


def _transformer_rule(name: str, shape, spec: Spec) -> tuple[float, float]:
    layer, kind = name.rsplit(".", 1)
    if kind == "pos_embedding":
        return (0.3 * spec.video_scale, spec.video_scale)
    if layer.endswith(("norm_q", "norm_k")):
        return (1.5, 0.4) if kind == "weight" else (0.1, 0.3)
    if layer == "norm_final":
        return (spec.final_norm_mean * (1.0 if kind == "weight" else 0.1), spec.final_norm_mean * 0.25)
    if layer.endswith(".norm"):
        return (1.0, 0.25) if kind == "weight" else (0.05, 0.2)
    gain = _transformer_gain(layer, spec)
    if kind == "bias":
        return (0.05 * gain, 0.25 * gain)
    return (0.0, gain / math.sqrt(_fan_in(shape)))


def _vae_rule(name: str, shape, spec: Spec) -> tuple[float, float]:
    layer, kind = name.removesuffix(".bias").removesuffix(".weight"), name.rsplit(".", 1)[1]
    if layer.endswith("conv_y.conv"):
        return (1.0, 0.2) if kind == "bias" else (0.0, 0.06)
    if layer.endswith("conv_b.conv"):
        return (0.05, 0.2) if kind == "bias" else (0.0, 0.06)
    if "norm" in layer:
        return (1.0, 0.25) if kind == "weight" else (0.05, 0.2)
    gain = 1.0
    if layer.endswith("conv_in.conv"):
        gain = 0.02
    elif layer.endswith(("conv1.conv", "conv2.conv")):
        gain = 0.03
    elif layer.endswith("conv_out.conv"):
        gain = 0.9
    if kind == "bias":
        # Up- and downsamplers and shortcuts pass the small residual on: their biases must be as small.
        size = 0.01 if gain == 1.0 else gain
        return (0.1 * size, 0.2 * size)
    return (0.0, gain / math.sqrt(_fan_in(shape)))


_RULES = {"text_encoder": _text_encoder_rule, "transformer": _transformer_rule, "vae": _vae_rule}


def tensor_recipe(spec: Spec, models: dict[str, torch.nn.Module]) -> dict:
    recipe: dict[str, dict] = {}
    for component, model in models.items():
        names = sorted(set(model.state_dict()) - {"encoder.embed_tokens.weight"})
        recipe[component] = {}
        for name in names:
            shape = list(model.state_dict()[name].shape)
            mean, std = _RULES[component](name, shape, spec)
            recipe[component][name] = {"shape": shape, "mean": float(f"{mean:.6g}"), "std": float(f"{std:.6g}")}
    return recipe


@dataclasses.dataclass
class Checkpoint:
    """One generated checkpoint: its configs, its models in fp32, and what the recipe JSON says of it."""

    spec: Spec
    configs: dict
    tensors: dict
    sha256: dict
    text_encoder: torch.nn.Module
    transformer: torch.nn.Module
    vae: torch.nn.Module

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def text_rows(self) -> int:
        return self.configs["transformer"]["max_text_seq_length"]

    @property
    def in_channels(self) -> int:
        return self.configs["transformer"]["in_channels"]

    @property
    def patch_size_t(self) -> int:
        return self.configs["transformer"].get("patch_size_t") or 1

    def recipe(self) -> dict:
        return {"checkpoint": self.name, "versions": versions(), "configs": self.configs, "sha256": self.sha256,
                "tensors": self.tensors}


def build(name: str) -> Checkpoint:
    spec = SPECS[name]
    config = configs(spec)
    models = empty_models(config)
    recipe = tensor_recipe(spec, models)
    sums = {}
    for component, model in models.items():
        tensors = {tensor: golden_tensor(f"{name}/{component}/{tensor}", r["shape"], r["mean"], r["std"])
                   for tensor, r in recipe[component].items()}
        sums[component] = component_sha256(tensors)
        missing, unexpected = model.load_state_dict(tensors, strict=False)
        if unexpected or set(missing) - {"encoder.embed_tokens.weight"}:
            raise RuntimeError(f"{name}/{component}: missing {missing}, unexpected {unexpected}")
    return Checkpoint(spec, config, recipe, sums, **models)
