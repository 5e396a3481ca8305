#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/pipeline/request.h"
#include "io/video_info.h"

namespace cogvx::app {

// What made a file, as far as it or the sidecar beside it says so.
struct Provenance {
  std::optional<Request> request{};
  nlohmann::json engine{};  // null: not known, as below
  nlohmann::json placement{};
  std::string sha256_frames{};  // of what was encoded, from the sidecar; empty: not known
};

// The metadata that cogvx-gen puts into a video. Nothing where it holds none.
Provenance metadata_provenance(const io::VideoInfo& info, const std::string& path);

// The video whose sidecar is looked for beside it.
struct SidecarWanted {
  std::string path;  // of the video, or of the folder of its frames
  io::FrameSize size;
  int64_t frames = 0;
  std::string sha256_frames;  // empty where the codec has changed them
  Provenance inside{};        // by the file's own metadata
};
// Of `<stem>.json`, where that is a sidecar of this very video; else what the file itself says,
// with a notice where there is a sidecar of another one.
Provenance find_provenance(const SidecarWanted& wanted, std::vector<std::string>& notices);

// In words, one line each: the requests' fields that differ, another engine, another placement.
std::vector<std::string> provenance_notes(const Provenance& reference, const Provenance& test);
// For bytes that differ: says so where nothing that decides them does.
void note_promise(const Provenance& reference, const Provenance& test,
                  std::vector<std::string>& notes);

}  // namespace cogvx::app
