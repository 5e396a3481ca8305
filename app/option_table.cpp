#include <algorithm>

#include "app/options.h"

namespace cogvx::app {
namespace {

using O = Options;
using Rows = std::vector<OptionSpec>;

const std::vector<std::string> kOnOff = {"on", "off"};
const std::vector<std::string> kAutoOnOff = {"auto", "on", "off"};

OptionSpec row(std::vector<std::string> names, const char* value, const char* help,
               OptionTarget target, std::vector<std::string> choices = {}) {
  return {std::move(names), "", value, help, target, std::move(choices)};
}

Rows in_group(const char* group, Rows rows) {
  for (OptionSpec& spec : rows) spec.group = group;
  return rows;
}

Rows video_options() {
  return in_group(
      kVideoGroup,
      {
          row({"--model"}, "DIR", "checkpoint in the diffusers directory layout", &O::model),
          row({"--prompt", "-p"}, "TEXT", "what to show; may be empty if said so explicitly",
              &O::prompt),
          row({"--prompt-file"}, "FILE|-", "read the prompt from a file or standard input",
              &O::prompt_file),
          row({"--negative-prompt"}, "TEXT", "what to steer away from", &O::negative_prompt),
          row({"--task"}, "T", "auto, t2v, i2v, v2v or control; auto: by model and inputs",
              &O::task, {"auto", "t2v", "i2v", "v2v", "control"}),
          row({"--image"}, "FILE", "the first frame (i2v): PNG, JPEG or WebP", &O::image),
          row({"--video"}, "FILE|DIR",
              "what is changed (v2v) or followed (control): a video, or a folder of PNG frames",
              &O::video),
          row({"--video-frames-from"}, "N", "its first frame that is used (0)",
              &O::video_frames_from),
          row({"--resize-mode"}, "M",
              "how inputs get the video's size: stretch (as diffusers), crop or pad",
              &O::resize_mode, {"stretch", "crop", "pad"}),
          row({"--strength"}, "X", "how much of a video is made anew (v2v), up to 1 (0.8)",
              &O::strength),
          row({"--lora"}, "FILE[:SCALE]",
              "add a LoRA to the transformer; may be given several times", &O::lora),
          row({"--width"}, "PIXELS", "default: the model's trained size", &O::width),
          row({"--height"}, "PIXELS", "default: the model's trained size", &O::height),
          row({"--frames", "--num-frames"}, "N", "default: the model's trained length", &O::frames),
          row({"--fps"}, "N[/D]", "frames per second of the file; default by model", &O::fps),
          row({"--steps", "--num-inference-steps"}, "N", "denoising steps (50)", &O::steps),
          row({"--guidance-scale", "-g"}, "X", "classifier-free guidance (6); 1 or less: none",
              &O::guidance_scale),
          row({"--dynamic-cfg"}, "M", "auto, on or off; auto: on with dpm", &O::dynamic_cfg,
              kAutoOnOff),
          row({"--scheduler"}, "S",
              "auto, ddim, dpm or generic-ddim (control models'); auto: by model", &O::scheduler,
              {"auto", "ddim", "dpm", "generic-ddim"}),
          row({"--seed"}, "N", "same seed, same bytes (42); -1 picks one", &O::seed),
          row({"--dtype"}, "T", "auto, fp32, bf16 or fp16; auto: the checkpoint's", &O::dtype,
              {"auto", "fp32", "bf16", "fp16"}),
          row({"--vae-tiling"}, "M", "on (default) or off; the two give different frames",
              &O::vae_tiling, kOnOff),
          row({"--vae-tile"}, "HxW",
              "tile in pixels, multiples of 48 x 40; default: half the VAE's size", &O::vae_tile),
          row({"--attention"}, "K",
              "auto, flash, cudnn or math; the kernel on a GPU (auto: flash, math in fp32); the "
              "CPU's "
              "is math",
              &O::attention, {"auto", "flash", "cudnn", "math"}),
          row({"--max-text-tokens"}, "N", "text length; default: the model's", &O::max_text_tokens),
          row({"--strict-prompt"}, nullptr, "a prompt that is too long is an error, not cut",
              &O::strict_prompt),
          row({"--allow-untrained-size"}, nullptr, "sizes and lengths the model was not trained on",
              &O::allow_untrained_size),
      });
}

Rows where_options() {
  return in_group(
      "where",
      {
          row({"--device"}, "D", "auto (cpu), cpu or cuda", &O::device, {"auto", "cpu", "cuda"}),
          row({"--cp", "--cfg-parallel"}, "N", "processes for the guidance branches, 1 or 2",
              &O::cp),
          row({"--sp", "--seq-parallel"}, "N", "processes that share the sequence, 1 or more",
              &O::sp),
          row({"--sp-mode"}, "M",
              "how they share attention: ulysses (by heads) or gather (by rows)", &O::sp_mode,
              {"ulysses", "gather"}),
          row({"--offload"}, "M",
              "weights on the GPU: none (a stage's, the rest waits on the host), model (the same: "
              "a stage is one model), sequential (a layer's) or auto (none where it fits, else "
              "sequential); never changes a byte",
              &O::offload, {"auto", "none", "model", "sequential"}),
          row({"--launcher"}, "L",
              "auto, spawn (start processes), env (a launcher's variables) or none", &O::launcher,
              {"auto", "spawn", "env", "none"}),
          row({"--dist-timeout"}, "S",
              "seconds without a sign of life until a process is given up (60)", &O::dist_timeout),
          row({"--log-dir"}, "DIR", "each process's messages, in DIR/rank-<r>.log", &O::log_dir),
          row({"--threads"}, "N",
              "of each process; default: cores / processes; never changes a byte", &O::threads),
      });
}

Rows output_options() {
  return in_group(
      kOutputGroup,
      {
          row({"--output", "-o"}, "FILE",
              "the video (output.mp4, .mkv with ffv1); may hold {index}, {seed} and {slug}",
              &O::output),
          row({"--overwrite"}, nullptr, "replace files that exist", &O::overwrite),
          row({"--save-latents"}, "FILE", "keep the final latents (safetensors)", &O::save_latents),
          row({"--decode-latents"}, "FILE", "decode saved latents instead of generating",
              &O::decode_latents),
          row({"--checkpoint-every"}, "K",
              "save the state every K steps in <output>.state.safetensors", &O::checkpoint_every),
          row({"--resume"}, "FILE", "go on from a saved state", &O::resume),
          row({"--batch"}, "FILE|-",
              "a video for each line: JSON objects of flags' names (.jsonl), or prompts (.txt); "
              "without -o: {index}-{slug}.mp4",
              &O::batch),
          row({"--resume-batch"}, nullptr,
              "leave out what is made, and go on from what an interrupted batch left",
              &O::resume_batch),
          row({"--fail-fast"}, nullptr, "end a batch at the first video that fails", &O::fail_fast),
          row({"--shard"}, "I/N", "of a batch: items I, I+N, I+2N...", &O::shard),
          row({"--frames-dir"}, "DIR", "also write every frame as PNG", &O::frames_dir),
          row({"--trace"}, "FILE",
              "hashes of every stage, step and layer; cogvx-compare finds where two runs part",
              &O::trace),
          row({"--codec"}, "C", "auto (h264), h264, hevc, or ffv1 (lossless, .mkv)", &O::codec,
              {"auto", "h264", "hevc", "ffv1"}),
          row({"--lossless"}, nullptr, "the same as --codec ffv1", &O::lossless),
          row({"--crf"}, "N", "quality of h264 and hevc, 0 (best) to 51 (17)", &O::crf),
          row({"--no-metadata"}, nullptr, "keep request and engine out of the video file",
              &O::no_metadata),
          row({"--json"}, nullptr, "one JSON object on standard output instead of the path",
              &O::json),
          row({"--progress"}, "M", "auto, bar, plain, json or none", &O::progress,
              {"auto", "bar", "plain", "json", "none"}),
          row({"--verbose", "-v"}, nullptr, "say more", &O::verbose),
          row({"--quiet", "-q"}, nullptr, "warnings and errors only, no progress", &O::quiet),
          row({"--log-file"}, "FILE", "write messages there too", &O::log_file),
      });
}

Rows asking_options() {
  return in_group(
      kAskingGroup,
      {
          row({"--config"}, "FILE", "options from a JSON file; flags win", &O::config),
          row({"--from"}, "SIDECAR", "repeat the video a sidecar describes; flags win", &O::from),
          row({"--dump-config"}, nullptr, "print the options as resolved, as JSON, and stop",
              &O::dump_config),
          row({"--list-devices"}, nullptr, "print what could compute here, and stop",
              &O::list_devices),
          row({"--completion"}, nullptr, "print a bash completion script, and stop",
              &O::completion),
          row({"--version"}, nullptr, "print versions, and stop", &O::version),
          row({"--help", "-h"}, nullptr, "print this, and stop", &O::help),
      });
}

}  // namespace

const std::vector<OptionSpec>& option_table() {
  static const Rows table = [] {
    Rows rows;
    for (const Rows& group :
         {video_options(), where_options(), output_options(), asking_options()}) {
      rows.insert(rows.end(), group.begin(), group.end());
    }
    return rows;
  }();
  return table;
}

std::string OptionSpec::key() const {
  std::string key = names.front().substr(2);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

}  // namespace cogvx::app
