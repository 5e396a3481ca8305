#include "app/compare/comparison.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "app/saved_run_files.h"
#include "app/sidecar.h"
#include "app/trace.h"
#include "core/base/errors.h"
#include "core/base/shapes.h"
#include "core/weights/config.h"
#include "core/weights/mapped_file.h"
#include "io/png.h"
#include "io/video_info.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

enum class Kind { kFrames, kTensors, kTrace, kSidecar };

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::kFrames:
      return "frames";
    case Kind::kTensors:
      return "latents";
    case Kind::kTrace:
      return "a trace";
    case Kind::kSidecar:
      return "a sidecar";
  }
  return "?";
}

Kind kind_of(const std::string& path) {
  if (fs::is_directory(path)) return Kind::kFrames;
  std::ifstream file(path, std::ios::binary);
  char head[9] = {};
  if (!file.read(head, sizeof head) && file.gcount() == 0)
    throw DataError(path + ": cannot be read, or is empty");
  if (head[0] == '{') return is_trace(read_json_object(path)) ? Kind::kTrace : Kind::kSidecar;
  // A safetensors file begins with 8 bytes of length and a JSON header.
  return head[8] == '{' ? Kind::kTensors : Kind::kFrames;
}

void note_requests(const Request& a, const Request& b, Comparison& result) {
  for (const FieldDifference& difference : request_differences(a, b)) {
    result.notes.push_back("the requests differ: " + difference.field + " is " + difference.a +
                           " and " + difference.b);
  }
}

void note_engines(const json& a, const json& b, Comparison& result) {
  if (a != b) result.notes.push_back("the engines differ: " + a.dump() + " and " + b.dump());
}

io::Frames read_frames(const std::string& path) {
  if (!fs::is_directory(path)) return io::read_video_frames(path);
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(path)) {
    if (entry.path().extension() == ".png") files.push_back(entry.path());
  }
  if (files.empty()) throw DataError(path + ": holds no PNG frames such as 000000.png");
  std::sort(files.begin(), files.end());
  io::Frames frames;
  for (const fs::path& file : files) {
    const io::Image image = io::read_png(file);
    if (frames.count++ == 0) frames.size = image.size;
    if (image.size != frames.size)
      throw DataError(file.string() + ": is not of the size of the frames before it");
    frames.pixels.insert(frames.pixels.end(), image.pixels.begin(), image.pixels.end());
  }
  return frames;
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

// Counts equal pieces of `piece` bytes; returns the first byte that differs, or `size`.
size_t compare_pieces(const void* a, const void* b, size_t size, size_t piece, Comparison& result) {
  const auto* left = static_cast<const uint8_t*>(a);
  const auto* right = static_cast<const uint8_t*>(b);
  for (size_t at = 0; at < size; at += piece) {
    ++result.total;
    if (std::memcmp(left + at, right + at, piece) == 0) ++result.identical;
  }
  result.same = result.identical == result.total;
  return std::mismatch(left, left + size, right).first - left;
}

std::string share_text(const Comparison& result, const char* pieces) {
  return std::to_string(result.identical) + " of " + std::to_string(result.total) + " " + pieces +
         " identical";
}

Comparison compare_frames(const std::string& reference, const std::string& test) {
  const io::Frames a = read_frames(reference), b = read_frames(test);
  if (a.count != b.count || a.size != b.size) {
    throw DataError(test + ": has " + size_text(b) + ", " + reference + " has " + size_text(a) +
                    "; only videos of one size and length can be compared");
  }
  Comparison result{.what = "frames"};
  const size_t first =
      compare_pieces(a.pixels.data(), b.pixels.data(), a.pixels.size(), a.size.bytes(), result);
  result.verdict = share_text(result, "frames");
  if (!result.same) result.verdict += "; first difference: " + pixel_text(a, b, first);
  return result;
}

// What two files of latents or two states hold.
struct Tensors {
  Request request;
  json engine;
  int64_t next_step = -1;
  at::Tensor latents_LCYX;
  std::vector<std::pair<const char*, at::Tensor>> others;
};

// By its header, so that a damaged file is refused as what it is.
bool is_state(const std::string& path) {
  constexpr size_t kHead = 1 << 16;
  const MappedFile file(path);
  const std::string_view head(reinterpret_cast<const char*>(file.bytes().data()),
                              std::min(file.bytes().size(), kHead));
  return head.find("\"cogvx_state\"") != std::string_view::npos;
}

Tensors read_tensors(const std::string& path) {
  if (is_state(path)) {
    const SavedState saved = read_state(path);
    const DenoiseState& state = saved.state;
    return {.request = saved.request,
            .engine = json::parse(saved.engine),
            .next_step = state.next_step,
            .latents_LCYX = state.latents_LCYX,
            .others = {{"previous_x0", state.memory.previous_x0},
                       {"generator", state.generator.get_state()}}};
  }
  const SavedLatents saved = read_latents(path);
  return {.request = saved.request,
          .engine = json::parse(saved.engine),
          .latents_LCYX = saved.latents_LCYX,
          .others = {}};
}

bool equal_bytes(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  return a.scalar_type() == b.scalar_type() && a.sizes() == b.sizes() &&
         std::memcmp(a.contiguous().const_data_ptr(), b.contiguous().const_data_ptr(),
                     a.nbytes()) == 0;
}

Comparison compare_tensors(const std::string& reference, const std::string& test) {
  const Tensors a = read_tensors(reference), b = read_tensors(test);
  const auto place = [](const Tensors& t) {
    return t.next_step < 0 ? std::string("final latents")
                           : "a state after step " + std::to_string(t.next_step);
  };
  const at::Tensor left = a.latents_LCYX.contiguous(), right = b.latents_LCYX.contiguous();
  const auto shape = [](const at::Tensor& t) {
    return dtype_name(t.scalar_type()) + (" " + shape_text(t.sizes()));
  };
  if (place(a) != place(b) || shape(left) != shape(right)) {
    throw DataError(test + ": holds " + place(b) + " " + shape(right) + ", " + reference +
                    " holds " + place(a) + " " + shape(left) + "; they cannot be compared");
  }
  Comparison result{.what = "latents"};
  const auto piece = static_cast<size_t>(left.nbytes() / left.size(0));
  const size_t first =
      compare_pieces(left.const_data_ptr(), right.const_data_ptr(), left.nbytes(), piece, result);
  result.verdict = share_text(result, "latent frames");
  if (!result.same)
    result.verdict += "; first difference: latent frame " + std::to_string(first / piece);
  for (size_t i = 0; i < a.others.size(); ++i) {
    if (equal_bytes(a.others[i].second, b.others[i].second)) continue;
    result.same = false;
    result.verdict += std::string("; ") + a.others[i].first + " differs";
  }
  note_requests(a.request, b.request, result);
  note_engines(a.engine, b.engine, result);
  return result;
}

Comparison compare_traces(const std::string& reference, const std::string& test) {
  const TraceFile a = read_trace(reference), b = read_trace(test);
  Comparison result{.what = "trace", .total = std::ssize(a.ladder.rungs)};
  for (const auto& [rung, hashes] : a.ladder.rungs) {
    const auto found = b.ladder.rungs.find(rung);
    if (found != b.ladder.rungs.end() && found->second == hashes) ++result.identical;
  }
  const std::optional<std::string> first = first_difference(a.ladder, b.ladder);
  result.same = !first && a.ladder.contradictions.empty() && b.ladder.contradictions.empty();
  result.verdict = share_text(result, "rungs");
  if (first) result.verdict += "; first difference: " + *first;
  for (const auto& [trace, name] : {std::pair{&a, reference}, std::pair{&b, test}}) {
    if (trace->ladder.contradictions.empty()) continue;
    result.notes.push_back("the processes of " + name + " contradict each other, first at " +
                           trace->ladder.contradictions[0]);
  }
  note_requests(a.request, b.request, result);
  note_engines(json::parse(a.engine), json::parse(b.engine), result);
  return result;
}

Comparison compare_sidecars(const std::string& reference, const std::string& test) {
  const json a = read_json_object(reference), b = read_json_object(test);
  Comparison result{.what = "sidecar"};
  note_requests(sidecar_request(reference), sidecar_request(test), result);
  note_engines(sidecar_engine(reference), sidecar_engine(test), result);
  std::string different;
  for (const char* key : {"sha256_latents", "sha256_frames"}) {
    if (!a.contains(key) || !b.contains(key))
      throw DataError((a.contains(key) ? test : reference) + ": '" + key + "' is missing");
    ++result.total;
    if (a.at(key) == b.at(key)) {
      ++result.identical;
    } else if (different.empty()) {
      different = key;
    }
  }
  result.same = different.empty();
  result.verdict = share_text(result, "hashes");
  if (!result.same) result.verdict += "; first difference: " + different;
  return result;
}

}  // namespace

Comparison compare_files(const std::string& reference, const std::string& test) {
  const Kind kind = kind_of(reference), other = kind_of(test);
  if (kind != other) {
    throw DataError(test + ": is " + kind_name(other) + ", " + reference + " is " +
                    kind_name(kind) + "; only two of one kind can be compared");
  }
  switch (kind) {
    case Kind::kFrames:
      return compare_frames(reference, test);
    case Kind::kTensors:
      return compare_tensors(reference, test);
    case Kind::kTrace:
      return compare_traces(reference, test);
    case Kind::kSidecar:
      break;
  }
  return compare_sidecars(reference, test);
}

json comparison_to_json(const Comparison& comparison, const std::string& reference,
                        const std::string& test) {
  return {{"reference", reference},
          {"test", test},
          {"same", comparison.same},
          {"what", comparison.what},
          {"identical", comparison.identical},
          {"total", comparison.total},
          {"verdict", comparison.verdict},
          {"notes", comparison.notes}};
}

}  // namespace cogvx::app
