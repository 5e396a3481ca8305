#pragma once

#include <string>
#include <variant>

#include "app/compare/records.h"
#include "app/compare/tensors.h"
#include "app/compare/videos.h"

namespace cogvx::app {

// What REF or a TEST is, read whole: by its content a video that libav reads, a folder of PNG
// frames, saved latents or a saved state, a trace, or a sidecar.
using Subject = std::variant<Video, Tensors, TraceRecord, SidecarRecord>;

// Throws DataError where it cannot be read.
Subject read_subject(const std::string& path);
Kind kind_of(const Subject& subject);
const std::string& path_of(const Subject& subject);

// Throws DataError where the two are not comparable: two kinds, other sizes, another number of
// frames.
Comparison compare_subjects(const Subject& reference, const Subject& test);

}  // namespace cogvx::app
