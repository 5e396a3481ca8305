"""diffusers' side of a comparison: loads one case, then does what standard input asks for. tests/bench/bench_worker.cpp
is ours; bench.worker is at the other end of both."""

import gc
import json
import sys
import time
import types

import numpy as np
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXPipeline, CogVideoXTransformer3DModel
from transformers import T5EncoderModel

from goldens.values import golden_tensor

TIMESTEP = 999
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def bench_input(name, shape, dtype):
    return golden_tensor(f"bench/{name}", shape).to(dtype)


def status_bytes(name):
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    return 0


def reset_peak():
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def step_case(case, dtype):
    """Both guidance branches as a batch of two, as the pipeline does."""
    transformer = CogVideoXTransformer3DModel.from_pretrained(case["checkpoint"], subfolder="transformer", dtype=dtype)
    config = transformer.config
    frames, height, width = (int(case[name]) for name in ("frames", "height", "width"))
    latents = bench_input("latents", (1, frames, config.in_channels, height, width), dtype)
    text_shape = (1, config.max_text_seq_length, config.text_embed_dim)
    texts = torch.cat([bench_input(name, text_shape, dtype) for name in ("negative", "prompt")])
    rotary = None
    if config.use_rotary_positional_embeddings:
        pipeline = types.SimpleNamespace(transformer=transformer, vae_scale_factor_spatial=8)
        rotary = CogVideoXPipeline._prepare_rotary_positional_embeddings(
            pipeline, 8 * height, 8 * width, frames, torch.device("cpu"))
    timestep = torch.tensor([TIMESTEP, TIMESTEP])

    def iterate():
        return transformer(hidden_states=torch.cat([latents] * 2), encoder_hidden_states=texts, timestep=timestep,
                           image_rotary_emb=rotary, return_dict=False)[0]

    return iterate


def decode_case(case, dtype):
    """The decoder alone: the encoder is let go, which a pipeline of text to video keeps."""
    vae = AutoencoderKLCogVideoX.from_pretrained(case["checkpoint"], subfolder="vae", dtype=dtype)
    vae.encoder = None
    latents = bench_input("latents", [16] + [int(case[name]) for name in ("frames", "height", "width")], dtype)
    return lambda: vae.decode(latents[None], return_dict=False)[0]


def text_case(case, dtype):
    """Loads the encoder and encodes one prompt, as every video does once."""
    tokens = 226

    def iterate():
        encoder = T5EncoderModel.from_pretrained(case["checkpoint"], subfolder="text_encoder", dtype=dtype)
        return encoder(torch.arange(tokens)[None] * 97 % encoder.config.vocab_size)[0]

    return iterate


def attention_case(case, dtype):
    shape = (1, int(case["heads"]), int(case["rows"]), 64)
    q, k, v = (bench_input(name, shape, dtype) for name in "qkv")
    return lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v)


CASES = {"step": step_case, "decode": decode_case, "text": text_case, "attention": attention_case}


def relative_l2(result, path):
    theirs = result.to(torch.float32).contiguous().numpy().ravel()
    ours = np.fromfile(path, dtype=np.float32)
    if ours.size != theirs.size:
        raise SystemExit(f"diffusers_worker: {path} holds {ours.size} numbers, this side's result has {theirs.size}")
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def answer(**values):
    print(json.dumps(values), flush=True)


@torch.no_grad()
def main():
    case = dict(argument.split("=", 1) for argument in sys.argv[1:])
    threads = int(case["threads"])
    torch.set_num_threads(threads)
    torch.set_num_interop_threads(1)
    if case["kind"] not in CASES:
        raise SystemExit(f"diffusers_worker: kind is '{case['kind']}', it has {', '.join(CASES)}")
    base = status_bytes("VmRSS")
    begin = time.perf_counter()
    iterate = CASES[case["kind"]](case, DTYPES[case["dtype"]])
    gc.collect()
    answer(ready=True, load_seconds=time.perf_counter() - begin, load_peak_bytes=status_bytes("VmHWM"))
    reset_peak()
    result = None
    for line in sys.stdin:
        command, _, path = line.strip().partition(" ")
        if command == "run":
            result = None
            begin = time.perf_counter()
            result = iterate()
            answer(seconds=time.perf_counter() - begin)
        elif command == "peak":
            answer(peak_bytes=status_bytes("VmHWM"), base_bytes=base)
        elif command == "compare":
            answer(relative_l2=relative_l2(result, path))
        else:
            raise SystemExit(f"diffusers_worker: standard input says '{line.strip()}', wanted run, peak or compare FILE")


if __name__ == "__main__":
    main()
