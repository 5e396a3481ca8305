#include "app/compare/videos.h"

#include <filesystem>

#include "app/output_plan.h"
#include "core/base/errors.h"
#include "core/base/sha256.h"
#include "io/frames_folder.h"
#include "io/video_info.h"
#include "io/video_reader.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;

std::string format_text(const io::VideoInfo& info) {
  std::string text = info.codec + " " + info.pixel_format;
  for (const std::string& tag : {info.color_space, info.color_range}) {
    if (tag != "unknown") text += " " + tag;
  }
  return text;
}

// What the file says beside its pictures; returns how many these are.
int read_file_info(const std::string& path, Video& video) {
  const io::VideoInfo info = io::read_video_info(path);
  video.format = format_text(info);
  video.keeps_rgb = info.keeps_rgb;
  video.metadata = info.metadata;
  video.provenance = metadata_provenance(info, path);
  if (video.provenance.request) video.metadata.erase("comment");
  // Matroska's own note of the duration.
  video.metadata.erase("duration");
  if (info.frame_count > 0) return info.frame_count;
  throw DataError(path + ": video without frames; wanted one or more");
}

std::string size_text(const io::Frames& frames) {
  return std::to_string(frames.count) + " frames of " + std::to_string(frames.size.width) + "x" +
         std::to_string(frames.size.height);
}

std::string pixel_text(const io::Frames& a, const io::Frames& b, size_t byte) {
  constexpr const char* kColours[] = {"red", "green", "blue"};
  const size_t pixel = byte / 3;
  const auto width = static_cast<size_t>(a.size.width);
  const auto height = static_cast<size_t>(a.size.height);
  return "frame " + std::to_string(pixel / (width * height)) + ", row " +
         std::to_string(pixel / width % height) + ", column " + std::to_string(pixel % width) +
         ": " + kColours[byte % 3] + " is " + std::to_string(b.pixels[byte]) + ", wanted " +
         std::to_string(a.pixels[byte]);
}

bool known(const io::FrameRate& rate) { return rate.numerator > 0; }

void note_formats(const Video& a, const Video& b, std::vector<std::string>& notes) {
  const auto text = [](const Video& video) {
    return video.format + (video.keeps_rgb ? " (lossless)" : " (lossy)");
  };
  if (text(a) != text(b)) notes.push_back("the formats differ: " + text(a) + " and " + text(b));
  if (known(a.frame_rate) && known(b.frame_rate) && !(a.frame_rate == b.frame_rate)) {
    notes.push_back("the frames per second differ: " + frame_rate_text(a.frame_rate) + " and " +
                    frame_rate_text(b.frame_rate));
  }
  std::map<std::string, std::string> keys = a.metadata;
  keys.insert(b.metadata.begin(), b.metadata.end());
  for (const auto& [key, ignored] : keys) {
    const auto value = [&, &name = key](const Video& video) {
      const auto found = video.metadata.find(name);
      return found == video.metadata.end() ? std::string("none") : "'" + found->second + "'";
    };
    if (value(a) != value(b)) {
      notes.push_back("the metadata differ: " + key + " is " + value(a) + " and " + value(b));
    }
  }
}

// Whether the difference was there before the encoder, as far as the sidecars tell.
void note_hashes(const Video& a, const Video& b, Comparison& result) {
  const auto encoded = [](const Video& video) {
    return video.keeps_rgb ? video.sha256_frames : video.provenance.sha256_frames;
  };
  if (!result.same && !encoded(a).empty() && encoded(a) == encoded(b))
    result.notes.push_back("the frames were the same before they were encoded (sha256_frames)");
  const std::string &x = a.provenance.sha256_frames, &y = b.provenance.sha256_frames;
  if (!x.empty() && !y.empty() && x != y) note_promise(a.provenance, b.provenance, result.notes);
}

}  // namespace

Video read_video(const std::string& path) {
  Video video{.path = path};
  video.format = "png";
  std::error_code ignored;
  const int count =
      fs::is_directory(path, ignored) ? io::count_frame_files(path) : read_file_info(path, video);
  Monitor monitor;
  monitor.on_notice = [&](const std::string& notice) { video.notices.push_back(notice); };
  io::VideoFrames read = io::read_video(path, {.from = 0, .count = count, .resize = {}}, monitor);
  video.frames = std::move(read.frames);
  video.frame_rate = read.frame_rate;
  video.sha256_frames = sha256_hex(video.frames.pixels.data(), video.frames.pixels.size());
  video.provenance = find_provenance({.path = path,
                                      .size = video.frames.size,
                                      .frames = count,
                                      .sha256_frames = video.keeps_rgb ? video.sha256_frames : "",
                                      .inside = video.provenance},
                                     video.notices);
  return video;
}

Comparison compare_videos(const Video& reference, const Video& test) {
  const io::Frames &a = reference.frames, &b = test.frames;
  if (a.count != b.count || a.size != b.size) {
    throw DataError(test.path + ": has " + size_text(b) + ", " + reference.path + " has " +
                    size_text(a) + "; only videos of one size and length can be compared");
  }
  Comparison result{.kind = Kind::kFrames,
                    .sha256_reference = reference.sha256_frames,
                    .sha256_test = test.sha256_frames};
  const size_t first =
      compare_pieces(a.pixels.data(), b.pixels.data(), a.pixels.size(), a.size.bytes(), result);
  if (!result.same) result.first_difference = pixel_text(a, b, first);
  result.video = video_distance(a.view(), b.view());
  result.notes = provenance_notes(reference.provenance, test.provenance);
  note_formats(reference, test, result.notes);
  note_hashes(reference, test, result);
  for (const Video* video : {&reference, &test})
    result.notes.insert(result.notes.end(), video->notices.begin(), video->notices.end());
  return result;
}

}  // namespace cogvx::app
