#include "app/compare/provenance.h"

#include <filesystem>

#include "app/sidecar.h"
#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/base/read_file.h"
#include "core/weights/config.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const std::string& part : parts) text += (text.empty() ? "" : ", ") + part;
  return text;
}

std::string shown(const json& value) {
  if (value.is_null()) return "none";
  return value.is_string() ? value.get<std::string>() : json_excerpt(value);
}

// "/gpu/compute_capability" -> "gpu compute capability"; a variable keeps its name.
std::string words_of(const std::string& pointer) {
  constexpr std::string_view kVariables = "/environment/";
  if (pointer.starts_with(kVariables)) return pointer.substr(kVariables.size());
  std::string words = pointer.substr(1);
  for (char& letter : words) {
    if (letter == '/' || letter == '_') letter = ' ';
  }
  return words;
}

// "torch 2.10 and 2.11" for every value in which two objects differ.
std::vector<std::string> differences(const json& a, const json& b) {
  const json left = a.flatten(), right = b.flatten();
  json all = left;
  for (const auto& [pointer, value] : right.items()) all.emplace(pointer, value);
  std::vector<std::string> parts;
  for (const auto& [pointer, ignored] : all.items()) {
    const json x = left.value(pointer, json()), y = right.value(pointer, json());
    // An empty object is flattened to null.
    if (x == y || (x.is_null() && y.is_null())) continue;
    parts.push_back(words_of(pointer) + " " + shown(x) + " and " + shown(y));
  }
  return parts;
}

std::vector<std::string> other_components(const CheckpointIdentity& a,
                                          const CheckpointIdentity& b) {
  std::vector<std::string> names;
  const auto add = [&](const char* name, const std::string& x, const std::string& y) {
    if (!x.empty() && !y.empty() && x != y) names.emplace_back(name);
  };
  add("tokenizer", a.tokenizer, b.tokenizer);
  add("text encoder", a.text_encoder, b.text_encoder);
  add("transformer", a.transformer, b.transformer);
  add("VAE", a.vae, b.vae);
  add("VAE encoder", a.vae_encoder, b.vae_encoder);
  return names;
}

std::string mesh_text(const json& placement) {
  return shown(placement.value("cp", json())) + "x" + shown(placement.value("sp", json()));
}

std::string placement_note(const json& a, const json& b) {
  json x = a, y = b;
  for (json* placement : {&x, &y}) {
    placement->erase("cp");
    placement->erase("sp");
    placement->erase("device");  // the engine's
  }
  const std::vector<std::string> others = differences(x, y);
  std::string text = "made on " + mesh_text(a) + " and " + mesh_text(b) + " (cp x sp)";
  if (!others.empty()) text += ", with " + joined(others);
  return text + ": expected to make no difference";
}

// A sidecar's name is taken from its video's, so a copy of the video may lie beside another's.
std::string why_not_of(const SidecarWanted& wanted, const json& sidecar, const Provenance& found) {
  if (!wanted.sha256_frames.empty() && wanted.sha256_frames != found.sha256_frames)
    return "its sha256_frames are others than this video's";
  if (found.request->width != wanted.size.width || found.request->height != wanted.size.height ||
      sidecar.value("frames", json()) != wanted.frames)
    return "its size or number of frames is another";
  if (wanted.inside.request && !(*wanted.inside.request == *found.request))
    return "its request is another than the one inside the video";
  const std::string output = shown(sidecar.value("output", json()));
  const bool sure = !wanted.sha256_frames.empty() || wanted.inside.request.has_value();
  if (!sure && fs::path(output).filename() != fs::path(wanted.path).filename())
    return "it is of " + output;
  return "";
}

}  // namespace

Provenance metadata_provenance(const io::VideoInfo& info, const std::string& path) {
  const auto comment = info.metadata.find("comment");
  if (comment == info.metadata.end() || !comment->second.starts_with('{')) return {};
  try {
    const json made = parse_json_object(comment->second, path);
    return {.request = request_from_json(made.value("cogvx_request", json::object()), path),
            .engine = made.value("cogvx_engine", json())};
  } catch (const DataError&) {
    return {};  // somebody else's comment
  }
}

Provenance find_provenance(const SidecarWanted& wanted, std::vector<std::string>& notices) {
  fs::path stem = wanted.path;
  if (!stem.has_filename()) stem = stem.parent_path();  // "frames/"
  const std::string path = stem.replace_extension(".json").string();
  if (!may_exist(path)) return wanted.inside;
  try {
    const json sidecar = read_json_object(path);
    const json hash = sidecar.value("sha256_frames", json());
    Provenance found{.request = sidecar_request(path),
                     .engine = sidecar_engine(path),
                     .placement = sidecar.value("placement", json()),
                     .sha256_frames = hash.is_string() ? hash.get<std::string>() : ""};
    const std::string why = why_not_of(wanted, sidecar, found);
    if (why.empty()) return found;
    notices.push_back(path + " is not the sidecar of " + wanted.path + ": " + why);
  } catch (const DataError&) {
    // A JSON file of another kind.
  }
  return wanted.inside;
}

std::vector<std::string> provenance_notes(const Provenance& reference, const Provenance& test) {
  std::vector<std::string> notes;
  if (reference.request && test.request) {
    for (const FieldDifference& difference : request_differences(*reference.request, *test.request))
      notes.push_back("the requests differ: " + difference.field + " is " + difference.a + " and " +
                      difference.b);
    const std::vector<std::string> others =
        other_components(reference.request->checkpoint, test.request->checkpoint);
    if (!others.empty())
      notes.push_back("the requests differ: another checkpoint (" + joined(others) + ")");
  }
  if (reference.engine.is_object() && test.engine.is_object() && reference.engine != test.engine)
    notes.push_back("made by another engine (" +
                    joined(differences(reference.engine, test.engine)) +
                    "): the last bits may differ");
  if (reference.placement.is_object() && test.placement.is_object() &&
      reference.placement != test.placement)
    notes.push_back(placement_note(reference.placement, test.placement));
  return notes;
}

void note_promise(const Provenance& reference, const Provenance& test,
                  std::vector<std::string>& notes) {
  if (!reference.request || !test.request || !reference.engine.is_object()) return;
  if (!(*reference.request == *test.request) || reference.engine != test.engine) return;
  notes.emplace_back(
      "request and engine are the same, so the bytes should be: one was changed after it was made, "
      "or this is a defect of cogvx that we should know of");
}

}  // namespace cogvx::app
