#!/usr/bin/env python3
"""Writes a checkpoint of real geometry with random bf16 weights, for timing and memory: python3's standard library only.

  scripts/make_random_checkpoint.py --geometry 2b --layers 2 OUT_DIR
"""
import argparse
import array
import json
import math
import pathlib
import random
import struct
import zlib

# What differs between the published models; `transformer` and `vae` go into their config.json. The scheduler is the one
# that is recommended, which a model of fewer layers could not be known by.
SMALL = dict(heads=30, scaling_factor=1.15258426, snr_shift_scale=3.0, scheduler="CogVideoXDDIMScheduler", rotary=False)
LARGE = dict(heads=48, scaling_factor=0.7, snr_shift_scale=1.0, scheduler="CogVideoXDPMScheduler", rotary=True)
IMAGE_1_0 = dict(in_channels=32, use_learned_positional_embeddings=True)
TRAINED_1_5 = dict(patch_size_t=2, patch_bias=False, sample_height=300, sample_width=300, sample_frames=81)
GEOMETRIES = {
    "2b": SMALL,
    "5b": LARGE,
    "5b-i2v": LARGE | dict(transformer=IMAGE_1_0),
    "1.5-5b": LARGE | dict(transformer=TRAINED_1_5, vae=dict(invert_scale_latents=True)),
    "1.5-5b-i2v": LARGE | dict(transformer=TRAINED_1_5 | dict(in_channels=32, ofs_embed_dim=512), vae=dict(invert_scale_latents=True)),
    "fun-2b-control": SMALL | dict(transformer=dict(in_channels=32)),
    "fun-5b-control": LARGE | dict(transformer=dict(in_channels=32), scheduler="CogVideoXDDIMScheduler"),
}
VAE_WIDTHS = [128, 256, 256, 512]
VAE_GROUPS = 32


def linear(name, out, inputs):
    return {f"{name}.weight": [out, inputs], f"{name}.bias": [out]}


def norm(name, width):
    return {f"{name}.weight": [width], f"{name}.bias": [width]}


def transformer_tensors(config):
    width = config["num_attention_heads"] * config["attention_head_dim"]
    time = config["time_embed_dim"]
    patch_frames, channels = config.get("patch_size_t", 1), config["in_channels"]
    patch = [channels * patch_frames * 2 * 2] if "patch_size_t" in config else [channels, 2, 2]
    tensors = {"patch_embed.proj.weight": [width] + patch, "patch_embed.proj.bias": [width]}
    tensors |= linear("patch_embed.text_proj", width, config["text_embed_dim"])
    if config.get("use_learned_positional_embeddings"):
        rows = config["sample_height"] // 2 * (config["sample_width"] // 2) * ((config["sample_frames"] - 1) // 4 + 1)
        tensors["patch_embed.pos_embedding"] = [1, config["max_text_seq_length"] + rows, width]
    tensors |= linear("time_embedding.linear_1", time, width) | linear("time_embedding.linear_2", time, time)
    if "ofs_embed_dim" in config:
        tensors |= linear("ofs_embedding.linear_1", time, time) | linear("ofs_embedding.linear_2", time, time)
    for i in range(config["num_layers"]):
        block = f"transformer_blocks.{i}"
        for part in ("norm1", "norm2"):
            tensors |= linear(f"{block}.{part}.linear", 6 * width, time) | norm(f"{block}.{part}.norm", width)
        tensors |= norm(f"{block}.attn1.norm_q", 64) | norm(f"{block}.attn1.norm_k", 64)
        for part in ("to_q", "to_k", "to_v", "to_out.0"):
            tensors |= linear(f"{block}.attn1.{part}", width, width)
        tensors |= linear(f"{block}.ff.net.0.proj", 4 * width, width) | linear(f"{block}.ff.net.2", width, 4 * width)
    tensors |= norm("norm_final", width) | linear("norm_out.linear", 2 * width, time) | norm("norm_out.norm", width)
    return tensors | linear("proj_out", patch_frames * 2 * 2 * config["out_channels"], width)


def text_tensors(config):
    model, inner, hidden = config["d_model"], config["num_heads"] * config["d_kv"], config["d_ff"]
    tensors = {"shared.weight": [config["vocab_size"], model], "encoder.final_layer_norm.weight": [model]}
    for i in range(config["num_layers"]):
        block = f"encoder.block.{i}.layer"
        for part in "qkv":
            tensors[f"{block}.0.SelfAttention.{part}.weight"] = [inner, model]
        tensors[f"{block}.0.SelfAttention.o.weight"] = [model, inner]
        tensors[f"{block}.0.layer_norm.weight"] = [model]
        tensors[f"{block}.1.layer_norm.weight"] = [model]
        tensors[f"{block}.1.DenseReluDense.wi_0.weight"] = [hidden, model]
        tensors[f"{block}.1.DenseReluDense.wi_1.weight"] = [hidden, model]
        tensors[f"{block}.1.DenseReluDense.wo.weight"] = [model, hidden]
    tensors["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = [32, config["num_heads"]]
    return tensors


def convolution(name, out, inputs, kernel=3):
    return {f"{name}.weight": [out, inputs] + [kernel] * 3, f"{name}.bias": [out]}


def spatial_norm(name, width):
    tensors = norm(f"{name}.norm_layer", width)
    return tensors | convolution(f"{name}.conv_y.conv", width, 16, 1) | convolution(f"{name}.conv_b.conv", width, 16, 1)


def decoder_resnet(name, out, inputs):
    tensors = spatial_norm(f"{name}.norm1", inputs) | spatial_norm(f"{name}.norm2", out)
    tensors |= convolution(f"{name}.conv1.conv", out, inputs) | convolution(f"{name}.conv2.conv", out, out)
    return tensors | (convolution(f"{name}.conv_shortcut", out, inputs, 1) if out != inputs else {})


def decoder_tensors(widths, layers_per_block):
    tensors = convolution("decoder.conv_in.conv", widths[-1], 16)
    for i in range(2):
        tensors |= decoder_resnet(f"decoder.mid_block.resnets.{i}", widths[-1], widths[-1])
    inputs = widths[-1]
    for i, out in enumerate(reversed(widths)):
        for j in range(layers_per_block + 1):
            tensors |= decoder_resnet(f"decoder.up_blocks.{i}.resnets.{j}", out, inputs)
            inputs = out
        if i < 3:
            name = f"decoder.up_blocks.{i}.upsamplers.0.conv"
            tensors |= {f"{name}.weight": [out, out, 3, 3], f"{name}.bias": [out]}
    return tensors | spatial_norm("decoder.norm_out", widths[0]) | convolution("decoder.conv_out.conv", 3, widths[0])


def encoder_resnet(name, out, inputs):
    tensors = norm(f"{name}.norm1", inputs) | norm(f"{name}.norm2", out)
    tensors |= convolution(f"{name}.conv1.conv", out, inputs) | convolution(f"{name}.conv2.conv", out, out)
    return tensors | (convolution(f"{name}.conv_shortcut", out, inputs, 1) if out != inputs else {})


def encoder_tensors(widths, layers_per_block):
    tensors = convolution("encoder.conv_in.conv", widths[0], 3)
    inputs = widths[0]
    for i, out in enumerate(widths):
        for j in range(layers_per_block):
            tensors |= encoder_resnet(f"encoder.down_blocks.{i}.resnets.{j}", out, inputs)
            inputs = out
        if i < 3:
            name = f"encoder.down_blocks.{i}.downsamplers.0.conv"
            tensors |= {f"{name}.weight": [out, out, 3, 3], f"{name}.bias": [out]}
    for i in range(2):
        tensors |= encoder_resnet(f"encoder.mid_block.resnets.{i}", inputs, inputs)
    return tensors | norm("encoder.norm_out", inputs) | convolution("encoder.conv_out.conv", 32, inputs)


def mean_and_deviation(name, shape):
    """Norms near 1, queries and keys so long that the softmax has peaks and gates so open that what attention and
    feed-forward do shows in the result: two programs that agree on these weights agree on those."""
    if name.endswith((".norm_q.weight", ".norm_k.weight")):
        return 1.6, 0.1
    if len(shape) == 1 and name.endswith(".weight"):
        return 1.0, 0.1
    if name.endswith((".norm1.linear.bias", ".norm2.linear.bias")):
        return 0.0, 0.6
    fan_in = math.prod(shape[1:])
    return 0.0, 0.5 / math.sqrt(fan_in) if fan_in > 1 else 0.1


def bf16_block(mean, deviation, count=16381):
    """Random bf16 values as bytes; large tensors repeat the block. A prime, so that no two rows of a tensor are equal."""
    generator = random.Random(7)
    values = array.array("f", (mean + generator.uniform(-1.7, 1.7) * deviation for _ in range(count)))
    bits = array.array("I", values.tobytes())
    return array.array("H", (x >> 16 for x in bits)).tobytes()


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = {}
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors.items():
            kind = mean_and_deviation(name, shape)
            if kind not in blocks:
                blocks[kind] = bf16_block(*kind)
            # From a place of its own, so that the layer of queries is not that of keys.
            start = 2 * (zlib.crc32(name.encode()) % (len(blocks[kind]) // 2))
            block = blocks[kind][start:] + blocks[kind][:start]
            left = 2 * math.prod(shape)
            while left > 0:
                left -= file.write(block[:left])


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--geometry", choices=GEOMETRIES, default="2b")
    parser.add_argument("--layers", type=int, default=2, help="transformer layers")
    parser.add_argument("--heads", type=int, help="of 64 each; the geometry's own by itself")
    parser.add_argument("--text-layers", type=int, default=1)
    parser.add_argument("--text-width", type=int, default=512, help="4096 is T5-XXL's")
    parser.add_argument("--slim-vae", type=int, default=1, help="divide the VAE's widths by this")
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True, help="a spiece.model")
    parser.add_argument("out", type=pathlib.Path)
    args = parser.parse_args()
    kind = GEOMETRIES[args.geometry]
    widths = [width // args.slim_vae for width in VAE_WIDTHS]
    transformer = dict(
        _class_name="CogVideoXTransformer3DModel", num_layers=args.layers, num_attention_heads=args.heads or kind["heads"],
        attention_head_dim=64, in_channels=16, out_channels=16, time_embed_dim=512, text_embed_dim=args.text_width,
        max_text_seq_length=226, sample_height=60, sample_width=90, sample_frames=49, patch_size=2,
        use_rotary_positional_embeddings=kind["rotary"]) | kind.get("transformer", {})
    vae = dict(_class_name="AutoencoderKLCogVideoX", block_out_channels=widths, layers_per_block=3,
               norm_num_groups=VAE_GROUPS // args.slim_vae, latent_channels=16, sample_height=480, sample_width=720,
               scaling_factor=kind["scaling_factor"]) | kind.get("vae", {})
    text = dict(model_type="t5", vocab_size=32128, d_model=args.text_width, d_kv=64, d_ff=args.text_width * 5 // 2,
                num_layers=args.text_layers, num_heads=args.text_width // 64, feed_forward_proj="gated-gelu")
    scheduler = dict(_class_name=kind["scheduler"], beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                     prediction_type="v_prediction", rescale_betas_zero_snr=True, set_alpha_to_one=True,
                     timestep_spacing="trailing", snr_shift_scale=kind["snr_shift_scale"])
    write_json(args.out / "model_index.json", {"_class_name": "CogVideoXPipeline"})
    write_json(args.out / "transformer/config.json", transformer)
    write_json(args.out / "vae/config.json", vae)
    write_json(args.out / "text_encoder/config.json", text)
    write_json(args.out / "scheduler/scheduler_config.json", scheduler)
    write_safetensors(args.out / "transformer/diffusion_pytorch_model.safetensors", transformer_tensors(transformer))
    layers = vae["layers_per_block"]
    write_safetensors(args.out / "vae/diffusion_pytorch_model.safetensors", encoder_tensors(widths, layers) | decoder_tensors(widths, layers))
    write_safetensors(args.out / "text_encoder/model.safetensors", text_tensors(text))
    (args.out / "tokenizer").mkdir(exist_ok=True)
    (args.out / "tokenizer/spiece.model").write_bytes(args.tokenizer.read_bytes())


if __name__ == "__main__":
    main()
