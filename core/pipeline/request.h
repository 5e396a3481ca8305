#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/ops/attention_kernel.h"
#include "core/transformer/patch_grid.h"
#include "core/vae/tile_size.h"
#include "core/weights/checkpoint.h"
#include "core/weights/config.h"

namespace cogvx {

// A checkpoint by content: SHA-256 per component, filled in as the component is read.
struct CheckpointIdentity {
  std::string tokenizer;
  std::string text_encoder;
  std::string transformer;
  std::string vae;          // its decoder
  std::string vae_encoder;  // where an image or a video is encoded
  bool operator==(const CheckpointIdentity&) const = default;
};

// A LoRA by content, and how much of it.
struct LoraIdentity {
  std::string sha256;
  double scale = 1.0;
  bool operator==(const LoraIdentity&) const = default;
};

// What is made, and from what beside the prompt.
enum class Task { kTextToVideo, kImageToVideo, kVideoToVideo, kControl };

// What the video is. With the Engine it decides every byte of latents and frames.
struct Request {
  CheckpointIdentity checkpoint;
  Task task = Task::kTextToVideo;
  // Of the RGB bytes of the image or the video's frames, at the size above; empty: text alone.
  std::string input_sha256;
  double strength = 1.0;            // of video-to-video: the share of the steps that is run
  std::vector<LoraIdentity> loras;  // in the order in which they are added to the weights
  std::string prompt;
  std::string negative_prompt;
  int64_t width = 0;
  int64_t height = 0;
  int64_t num_frames = 0;
  int64_t steps = 50;
  double guidance_scale = 6.0;
  bool dynamic_cfg = false;
  SchedulerConfig scheduler;
  uint64_t seed = 42;
  at::ScalarType dtype = at::kFloat;
  TileSize vae_tile;  // zero: the VAE decodes in one piece
  int64_t max_text_tokens = 226;
  AttentionKernel attention = AttentionKernel::kMath;

  bool uses_guidance() const { return guidance_scale > 1.0; }
  // Of the scheduler's timesteps, those left out at the begin (diffusers:
  // CogVideoXVideoToVideoPipeline.get_timesteps).
  int64_t skipped_steps() const;
  // Of the image or the video that it begins with.
  int64_t input_frames() const;
  bool operator==(const Request&) const = default;
};

nlohmann::json request_to_json(const Request& request);
// Throws DataError "<label>: request: 'steps' is "x", wanted ..." for a key that is missing or
// unknown, for a value of another type and for one no request can have.
Request request_from_json(const nlohmann::json& json, const std::string& label);

// A member in which two requests differ: "seed" or "scheduler.beta_end", and its JSON in each, cut
// for messages.
struct FieldDifference {
  std::string field;
  std::string a;
  std::string b;
};
// In the order of the names; the checkpoint's hashes are left out.
std::vector<FieldDifference> request_differences(const Request& a, const Request& b);

const char* dtype_name(at::ScalarType dtype);  // "fp32", "bf16", "fp16"

std::string task_name(Task task);                    // "t2v", "i2v", "v2v", "control"
std::string attention_name(AttentionKernel kernel);  // "math", "flash", "cudnn"
// Names of scheduler values, the same in JSON and on the command line.
std::string scheduler_kind_name(SchedulerKind kind);

// Latents of a request: [frames, channels, height, width].
struct LatentShape {
  int64_t frames = 0;   // with those that only pad
  int64_t padding = 0;  // frames at the begin that are dropped before decoding: 1.5 wants an even
                        // number of them
  int64_t channels = 0;
  int64_t height = 0;
  int64_t width = 0;
  int64_t decoded() const { return frames - padding; }
};
LatentShape latent_shape(const Request& request, const Checkpoint& checkpoint);
PatchGrid video_grid(const Request& request, const Checkpoint& checkpoint);
// Rows of its joint sequence [text | video].
int64_t joint_rows(const Request& request, const Checkpoint& checkpoint);
// Latent frames of so many frames, as diffusers counts them.
int64_t latent_frames(int64_t num_frames);
// Frames that so many latent frames decode to: 4L-3 for odd L, 4L for even.
int64_t decoded_frames(int64_t latents);

}  // namespace cogvx
