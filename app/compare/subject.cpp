#include "app/compare/subject.h"

#include <filesystem>
#include <fstream>

#include "core/base/errors.h"
#include "core/base/read_file.h"
#include "core/weights/config.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;

// A safetensors file begins with 8 bytes of length and a JSON header.
constexpr size_t kHead = 9;

std::string head_of(const std::string& path) {
  if (!may_exist(path)) throw DataError(path + ": no such file");
  const RegularFile probe(path);  // a pipe would wait
  std::ifstream file(path, std::ios::binary);
  std::string head(kHead, '\0');
  file.read(head.data(), kHead);
  if (file.gcount() == 0) throw DataError(path + ": is empty");
  return head;
}

Subject read_json_subject(const std::string& path) {
  if (is_trace(read_json_object(path))) return TraceRecord{.path = path, .trace = read_trace(path)};
  return read_sidecar_record(path);
}

}  // namespace

Subject read_subject(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return read_video(path);
  const std::string head = head_of(path);
  if (head.front() == '{') return read_json_subject(path);
  if (head.back() == '{') return read_tensors(path);
  return read_video(path);
}

Kind kind_of(const Subject& subject) {
  if (const auto* tensors = std::get_if<Tensors>(&subject)) return tensors->kind;
  if (std::holds_alternative<Video>(subject)) return Kind::kFrames;
  return std::holds_alternative<TraceRecord>(subject) ? Kind::kTrace : Kind::kSidecar;
}

const std::string& path_of(const Subject& subject) {
  return std::visit([](const auto& content) -> const std::string& { return content.path; },
                    subject);
}

Comparison compare_subjects(const Subject& reference, const Subject& test) {
  if (kind_of(reference) != kind_of(test)) {
    throw DataError(path_of(test) + ": holds " + kind_name(kind_of(test)) + ", " +
                    path_of(reference) + " holds " + kind_name(kind_of(reference)) +
                    "; only two of one kind can be compared");
  }
  if (const auto* video = std::get_if<Video>(&reference))
    return compare_videos(*video, std::get<Video>(test));
  if (const auto* tensors = std::get_if<Tensors>(&reference))
    return compare_tensors(*tensors, std::get<Tensors>(test));
  if (const auto* trace = std::get_if<TraceRecord>(&reference))
    return compare_traces(*trace, std::get<TraceRecord>(test));
  return compare_sidecars(std::get<SidecarRecord>(reference), std::get<SidecarRecord>(test));
}

}  // namespace cogvx::app
