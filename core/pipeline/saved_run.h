#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "core/pipeline/request.h"
#include "core/weights/safetensors.h"

// What a run leaves on disk, as safetensors. Tensors are places in the file; the shape of the
// latents is checked against the request's frames and size.
namespace cogvx {

// Final latents (--save-latents): the one tensor `latents` [1,F,C,H,W] F32, BF16 or F16.
struct StoredLatents {
  Request request;
  std::string engine;  // a JSON object
  StoredTensor latents;
};

// A denoising that goes on at `next_step` (--resume): `latents`, `generator` U8 [1..65536] and,
// where the scheduler keeps it, `previous_x0` F32 of the latents' shape.
struct StoredState {
  Request request;
  std::string engine;     // a JSON object
  int64_t next_step = 0;  // 0 to request.steps + 1: some schedules have one step more
  StoredTensor latents;
  std::optional<StoredTensor> previous_x0;
  StoredTensor generator;
};

// Throw DataError naming `label` for anything else; a state in place of latents, or the reverse, is
// told which flag reads it.
StoredLatents parse_latents(std::span<const std::byte> file, const std::string& label);
StoredState parse_state(std::span<const std::byte> file, const std::string& label);

// The metadata such a file needs, for safetensors_prefix; `engine_json` is a JSON object.
std::map<std::string, std::string> latents_metadata(const Request& request,
                                                    const std::string& engine_json);
std::map<std::string, std::string> state_metadata(const Request& request,
                                                  const std::string& engine_json,
                                                  int64_t next_step);

}  // namespace cogvx
