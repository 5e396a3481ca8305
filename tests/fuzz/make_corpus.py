#!/usr/bin/env python3
"""Makes tests/fuzz/corpus: small good and broken files for each fuzz target, from configs/demo and from the formats
alone. Run it from the repository's root after a change of a format, and commit what it writes."""

import json
import pathlib
import struct

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests" / "fuzz" / "corpus"
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"

SCHEDULER = {
    "class": "dpm", "num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012,
    "beta_schedule": "scaled_linear", "prediction_type": "v_prediction", "timestep_spacing": "trailing",
    "steps_offset": 0, "snr_shift_scale": 1.0, "rescale_betas_zero_snr": True, "set_alpha_to_one": True}
REQUEST = {
    "checkpoint": {"tokenizer": "aa", "text_encoder": "bb", "transformer": "cc", "vae": "dd"}, "task": "t2v",
    "prompt": "a red ball", "negative_prompt": "", "width": 16, "height": 16, "num_frames": 5, "steps": 7,
    "guidance_scale": 6.0, "dynamic_cfg": False, "scheduler": SCHEDULER, "seed": 42, "dtype": "fp32",
    "vae_tile": {"height": 48, "width": 40}, "max_text_tokens": 226, "attention": "math"}
ENGINE = {"cogvx": "0.1.0", "torch": "2.11.0", "device": "cpu"}
LATENT_SHAPE = [1, 2, 1, 2, 2]


def file_of(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def safetensors(tensors, metadata=None):
    header, at = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    for name, dtype, shape in tensors:
        size = SIZES[dtype]
        for extent in shape:
            size *= extent
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return file_of(header, b"\x01" * at)


def write(target, name, content):
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def make_safetensors():
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    write("safetensors", "none", file_of({}))
    write("safetensors", "one", safetensors([("a", "F32", [2, 3])]))
    write("safetensors", "every_dtype", safetensors([(d, d, [3]) for d in SIZES], {"format": "pt"}))
    write("safetensors", "odd", safetensors([("e", "BF16", [0, 4]), ("b", "U8", [3]), ("s", "F32", [])]))
    write("safetensors", "overlap", file_of({"a": entry, "b": dict(entry, data_offsets=[4, 12])}, b"\x01" * 12))
    write("safetensors", "huge_offsets", file_of({"a": dict(entry, data_offsets=[2**64 - 16, 2**64 - 8])}, b"\x01" * 8))
    write("safetensors", "negative", file_of({"a": dict(entry, shape=[-2])}, b"\x01" * 8))
    write("safetensors", "twice", file_of(b'{"a":%s,"a":{}}' % json.dumps(entry).encode(), b"\x01" * 8))
    write("safetensors", "deep", file_of(b'{"a":' + b"[" * 80))
    write("safetensors", "huge_header", struct.pack("<Q", 2**63 - 1) + b"{}")
    write("safetensors", "lfs_pointer", LFS_POINTER)


def make_configs():
    for path in sorted((ROOT / "configs" / "demo").glob("*/*config.json")):
        if path.parent.name != "tokenizer":
            write("configs", "demo_" + path.parent.name, json.loads(path.read_text()))
    write("configs", "demo_model_index", json.loads((ROOT / "configs" / "demo" / "model_index.json").read_text()))
    write("configs", "index", {"metadata": {"total_size": 9}, "weight_map": {"a": "1.safetensors", "b": "2.safetensors"}})
    write("configs", "index_outside", {"weight_map": {"a": "../1.safetensors", "b": "/etc/passwd"}})
    write("configs", "request", REQUEST)
    write("configs", "request_bf16", dict(REQUEST, dtype="bf16", vae_tile={"height": 0, "width": 0}, seed=2**64 - 1))
    write("configs", "absurd", {"num_layers": 10**12, "norm_eps": -1e300, "block_out_channels": [1, "2", None, 2**63]})
    write("configs", "types", {"num_layers": "30", "use_rotary_positional_embeddings": 1, "_class_name": ["x"]})
    write("configs", "overflow", b'{"norm_eps":1e400}')
    write("configs", "twice", b'{"num_layers":1,"num_layers":2}')
    write("configs", "cut", b'{"num_layers": 3')
    write("configs", "nul", b'{}\x00{"a":1}')
    write("configs", "not_utf8", b'{"a":"\xff\xc0\xaf"}')
    write("configs", "deep", b'{"a":' + b"[" * 80)
    write("configs", "lfs_pointer", LFS_POINTER)
    for name, unit in ("charsmap", 5 << 10), ("charsmap_outside", 256 << 10):
        trie = struct.pack("<256I", unit, *([1 << 31] * 255))
        rules = struct.pack("<I", len(trie)) + trie + b"ab\0"
        spec = b"\x12" + struct.pack("BB", len(rules) & 127 | 128, len(rules) >> 7) + rules
        write("configs", name, b"\x1a" + struct.pack("BB", len(spec) & 127 | 128, len(spec) >> 7) + spec)


def make_saved_run():
    latents = ("latents", "F32", LATENT_SHAPE)
    metadata = {"cogvx_request": json.dumps(REQUEST), "cogvx_engine": json.dumps(ENGINE)}
    state = dict(metadata, cogvx_state="1", next_step="3")
    generator = ("generator", "U8", [24])
    write("saved_run", "latents", safetensors([latents], metadata))
    write("saved_run", "latents_bf16", safetensors([("latents", "BF16", LATENT_SHAPE)], metadata))
    write("saved_run", "state", safetensors([latents, generator], state))
    write("saved_run", "state_x0", safetensors([generator, latents, ("previous_x0", "F32", LATENT_SHAPE)], state))
    write("saved_run", "wrong_shape", safetensors([("latents", "F32", [1, 3, 1, 2, 2])], metadata))
    write("saved_run", "no_channels", safetensors([("latents", "F32", [1, 2, 0, 2, 2])], metadata))
    write("saved_run", "wrong_step", safetensors([latents, generator], dict(state, next_step="-9")))
    write("saved_run", "wrong_format", safetensors([latents, generator], dict(state, cogvx_state="2")))
    write("saved_run", "no_engine", safetensors([latents], {"cogvx_request": json.dumps(REQUEST)}))
    write("saved_run", "more", safetensors([latents, ("more", "U8", [1])], metadata))
    write("saved_run", "lfs_pointer", LFS_POINTER)


def make_lora():
    def pair(a, b, rank=2):
        return [(a, "F32", [rank, 4]), (b, "F32", [6, rank])]
    to_q = "transformer.transformer_blocks.0.attn1.to_q"
    sat = "model.diffusion_model.transformer.layers.0.attention."
    kohya = "lora_unet__transformer_blocks_0_attn1_to_q"
    peft = pair(f"{to_q}.lora_A.weight", f"{to_q}.lora_B.weight")
    config = {"transformer.r": 2, "transformer.lora_alpha": 5.0, "transformer.use_rslora": True,
              "transformer.alpha_pattern": {"^transformer_blocks.0.attn1.to_q": 3}}
    write("lora", "peft", safetensors(peft))
    write("lora", "metadata", safetensors(peft, {"lora_adapter_metadata": json.dumps(config)}))
    write("lora", "alpha", safetensors(peft + [(f"{to_q}.alpha", "F16", [])]))
    write("lora", "bare", safetensors(pair("transformer_blocks.0.attn1.to_q.lora_A.weight",
                                           "transformer_blocks.0.attn1.to_q.lora_B.weight")))
    write("lora", "down_up", safetensors(pair(f"{to_q}.lora.down.weight", f"{to_q}.lora.up.weight")))
    processor = to_q.replace("to_q", "processor.to_q_lora")
    write("lora", "processor", safetensors(pair(f"{processor}.down.weight", f"{processor}.up.weight")))
    write("lora", "sat", safetensors(pair(f"{sat}query_key_value.matrix_A.0", f"{sat}query_key_value.matrix_B.0")))
    write("lora", "kohya", safetensors(pair(f"{kohya}.lora_down.weight", f"{kohya}.lora_up.weight") +
                                       [(f"{kohya}.alpha", "BF16", [])]))
    proj = "transformer.patch_embed.proj"
    write("lora", "convolution", safetensors([(f"{proj}.lora_A.weight", "F32", [2, 3, 2, 2]),
                                              (f"{proj}.lora_B.weight", "F32", [6, 2, 1, 1])]))
    write("lora", "half", safetensors(peft[:1]))
    write("lora", "other_model", safetensors(pair(f"{to_q}.lora_A.weight", f"{to_q}.lora_B.weight", 3)[:1] + peft[1:]))
    write("lora", "no_match", safetensors([("x.lora_A.weight", "F32", [2, 4])]))
    write("lora", "bad_metadata", safetensors(peft, {"lora_adapter_metadata": "{\"transformer.lora_alpha\": []}"}))


def text_opcode(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def tuple_opcodes(values):
    return b"(" + b"".join(b"J" + struct.pack("<i", v) for v in values) + b"t"


def pickled_tensor(shape=(2, 4), strides=(4, 1), offset=0, count=8, storage="FloatStorage", key="0"):
    return (b"ctorch._utils\n_rebuild_tensor_v2\n((" + text_opcode("storage") + b"ctorch\n" + storage.encode() + b"\n" +
            text_opcode(key) + text_opcode("cpu") + b"J" + struct.pack("<i", count) + b"tQJ" + struct.pack("<i", offset) +
            tuple_opcodes(shape) + tuple_opcodes(strides) + b"\x89ccollections\nOrderedDict\n)RtR")


def make_torch_pickle():
    def state(*tensors, wrapper=None):
        items = b"".join(text_opcode(f"x.{i}") + tensor for i, tensor in enumerate(tensors))
        state_dict = (b"ccollections\nOrderedDict\n)Rq\x01(" + items + b"u}" + text_opcode("_metadata") + b"h\x01sb")
        return b"\x80\x02" + (b"}" + text_opcode(wrapper) + state_dict + b"s." if wrapper else state_dict + b".")
    write("torch_pickle", "two", state(pickled_tensor(), pickled_tensor((8,), (1,), storage="BFloat16Storage", key="1")))
    for wrapper in "model", "module", "state_dict":
        write("torch_pickle", wrapper, state(pickled_tensor(), wrapper=wrapper))
    parameter = b"ctorch._utils\n_rebuild_parameter\n(" + pickled_tensor() + b"\x88NtR"
    write("torch_pickle", "parameter", state(parameter))
    write("torch_pickle", "view", state(pickled_tensor((2, 2), (1, 4), 2)))
    write("torch_pickle", "beyond", state(pickled_tensor(offset=1)))
    write("torch_pickle", "repeated", state(pickled_tensor((9, 9), (0, 0))))
    write("torch_pickle", "negative", state(pickled_tensor((2, 4), (-4, 1))))
    write("torch_pickle", "system", b"\x80\x02cos\nsystem\n(" + text_opcode("true") + b"tR.")
    write("torch_pickle", "stack_global", b"\x80\x04\x95" + struct.pack("<Q", 30) + b"\x8c\x02os\x8c\x06system\x93).")
    write("torch_pickle", "circle", b"\x80\x02]q\x00h\x00a.")
    write("torch_pickle", "deep", b"\x80\x02" + b"(" * 200)
    write("torch_pickle", "memo", b"\x80\x02}" + b"\x94" * 300 + b"j\x10\x00\x00\x00.")
    write("torch_pickle", "numbers", b"\x80\x02]((\x8a\x09" + b"\xff" * 9 + b"G" + b"\x40" * 8 + b"K\x01M\x01\x01t\x89N\x88e.")


def make_picture():
    """Those of tests/goldens/media.json that differ in structure, and an EXIF block alone."""
    names = ["turned6.png", "turned_xmp.png", "animated.png", "turned.webp", "lossy_alpha.webp", "animated.webp",
             "turned.jpg", "turned_xmp.jpg", "progressive.jpg", "cmyk.jpg"]
    goldens = json.loads((ROOT / "tests" / "goldens" / "media.json").read_text())
    for image in goldens["images"]:
        if image["name"] in names:
            write("picture", image["name"].replace(".", "_"), bytes.fromhex(image["file"]))
    write("picture", "exif", b"II" + struct.pack("<HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0))


def make_batch():
    write("batch", "lines", b'{"prompt": "a red ball", "seed": 7, "output": "{index}-{slug}.mp4"}\n\n{"prompt": ""}\n')
    write("batch", "crlf", b'\xef\xbb\xbf{"prompt":"a","lora":["x:0.5"]}\r\n \t\r\n{"prompt":"b","strength":0.5}\r\n')
    write("batch", "prompts", "a red ball\n  Ein Bär läuft/springt, 一只熊 \U0001f388\n{seed}\n".encode())
    write("batch", "template", b"out/{index}-{seed}_{{x}}-{slug}.mp4")
    write("batch", "unknown", b"{index}-{name}.mp4")
    write("batch", "open_brace", b"{index")
    write("batch", "twice", b'{"prompt":"a","prompt":"b"}\n[1]\n{"prompt"')
    write("batch", "not_utf8", b"a\xff\xc0\xafb\n")
    write("batch", "nul", b"a\x00b\n")
    write("batch", "blank", b"\n \n\r\n")


make_safetensors()
make_configs()
make_saved_run()
make_lora()
make_torch_pickle()
make_picture()
make_batch()
