#pragma once

// Pictures made out of pictures by libavfilter; a library of its own, so that programs that draw
// none do not load it.

#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "io/video_writer.h"

namespace cogvx::io {

// A graph of libavfilter's filters that makes one RGB24 picture out of REF and one or more TESTs,
// all of one size.
class PictureFilter {
 public:
  // |TEST - REF| of every byte, times `gain`, cut at 255.
  static PictureFilter amplified_difference(FrameSize size, int gain);
  // A row for each TEST: REF, TEST and their amplified difference.
  static PictureFilter side_by_side(FrameSize size, int tests, int gain);

  ~PictureFilter();
  PictureFilter(PictureFilter&&) noexcept;
  PictureFilter& operator=(PictureFilter&&) noexcept;

  FrameSize size() const { return output_.size; }
  // REF first; as many pictures as the graph was made for. Valid until the next call.
  // OutputError where libavfilter fails.
  ImageView run(std::span<const ImageView> pictures);

 private:
  class Graph;
  PictureFilter(std::unique_ptr<Graph> graph, FrameSize output);

  std::unique_ptr<Graph> graph_;
  Image output_;
};

struct SideBySideVideo {
  FramesView reference;
  std::vector<FramesView> tests;  // of its size and length
  int gain = 1;
  Image header{};  // stands above every frame, as wide as a row; empty: none
};

// The frames of `PictureFilter::side_by_side`, complete but without a name until `commit`; at an
// odd size the last column or row is repeated. Throws as `encode_video` does.
AtomicFile encode_side_by_side(const std::filesystem::path& path, const SideBySideVideo& video,
                               const VideoSettings& settings);

}  // namespace cogvx::io
