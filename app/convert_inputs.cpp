#include "app/convert_inputs.h"

#include <algorithm>
#include <vector>

#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/base/read_file.h"
#include "core/weights/torch_archive.h"
#include "core/weights/weight_map.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSatStates = "mp_rank_00_model_states.pt";
constexpr const char* kIndex = "model_index.json";

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// Without a slash at its end, which `parent_path` and `filename` stumble over.
fs::path cleaned(const fs::path& path) {
  const fs::path normal = path.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

// SAT names the step's folder in a file `latest`.
fs::path step_folder(const fs::path& folder) {
  const fs::path latest = folder / "latest";
  std::string step = read_file(latest, /*max_bytes=*/4096);
  while (!step.empty() && (step.back() == '\n' || step.back() == '\r' || step.back() == ' '))
    step.pop_back();
  if (step.empty() || step == "." || step == ".." || step.find('/') != std::string::npos ||
      step.find('\0') != std::string::npos) {
    throw DataError(latest.string() + ": it holds " + quoted_excerpt(step) +
                    ", wanted the name of a folder beside it");
  }
  return folder / step;
}

fs::path states_in(const fs::path& folder) {
  if (is_there(folder / "mp_rank_01_model_states.pt")) {
    throw DataError(folder.string() +
                    ": the model is in parts (mp_rank_01_model_states.pt), wanted it in one; merge "
                    "them with SAT first");
  }
  require_file(folder / kSatStates, "is the download complete?");
  return folder / kSatStates;
}

bool is_sat_folder(const fs::path& folder) {
  return is_there(folder / "latest") || is_there(folder / kSatStates);
}

fs::path sat_states(const fs::path& folder) {
  return states_in(is_there(folder / kSatStates) ? folder : step_folder(folder));
}

// The releases of SAT checkpoints name the folder by the task.
std::vector<fs::path> sat_transformers(const fs::path& in) {
  std::vector<fs::path> found;
  for (const char* name : {"transformer", "transformer_t2v", "transformer_i2v"}) {
    if (is_sat_folder(in / name)) found.push_back(in / name);
  }
  return found;
}

fs::path find_transformer(const fs::path& in) {
  if (!is_folder(in)) {
    require_file(in, "give a checkpoint's folder or its transformer's file");
    return in;
  }
  if (is_sat_folder(in)) return sat_states(in);
  const std::vector<fs::path> sat = sat_transformers(in);
  if (sat.size() > 1) {
    throw UsageError(in.string() + " holds " + sat[0].filename().string() + " and " +
                     sat[1].filename().string() + "; give the one to convert as IN");
  }
  if (sat.size() == 1) return sat_states(sat[0]);
  for (const fs::path& folder : {in / "transformer", in}) {
    if (is_there(folder / "config.json")) return folder;
  }
  throw DataError(in.string() + ": no transformer in it: neither SAT's transformer/latest or " +
                  kSatStates + " nor diffusers' transformer/config.json; is it a checkpoint?");
}

// IN and what a part of a checkpoint stands in.
std::vector<fs::path> around(const fs::path& in) {
  std::vector<fs::path> places{in};
  fs::path place = fs::absolute(in);
  for (int i = 0; i < 3 && place.has_parent_path(); ++i) {
    place = place.parent_path();
    places.push_back(place);
  }
  return places;
}

fs::path find_vae(const ConvertOptions& options) {
  std::vector<fs::path> places = around(options.in);
  for (fs::path& place : places) place /= "vae";
  if (!options.vae.empty()) places = {options.vae};
  for (const fs::path& place : places) {
    if (is_there(place / "3d-vae.pt")) return place / "3d-vae.pt";
    if (is_there(place / "config.json") || (!options.vae.empty() && is_there(place))) return place;
  }
  if (!options.vae.empty()) throw DataError(options.vae.string() + ": no such file; give the VAE");
  throw UsageError(options.in.string() +
                   ": no VAE in it or beside it (vae/3d-vae.pt or vae/config.json); name it with "
                   "--vae");
}

fs::path find_text_encoder(const ConvertOptions& options) {
  if (!options.text_encoder.empty()) {
    require_folder(options.text_encoder, "give the folder of T5 (t5-v1_1-xxl)");
    return options.text_encoder;
  }
  for (const fs::path& place : around(options.in)) {
    for (const char* name : {"text_encoder", "t5-v1_1-xxl"}) {
      if (is_folder(place / name)) return place / name;
    }
  }
  throw UsageError(options.in.string() +
                   ": no text encoder in it or beside it (text_encoder/ or t5-v1_1-xxl/); name it "
                   "with --text-encoder");
}

fs::path find_tokenizer(const ConvertOptions& options, const fs::path& text_encoder) {
  constexpr const char* kPieces = "spiece.model";
  std::vector<fs::path> places{text_encoder, text_encoder.parent_path() / "tokenizer"};
  for (const fs::path& place : around(options.in)) places.push_back(place / "tokenizer");
  if (!options.tokenizer.empty()) places = {options.tokenizer};
  for (const fs::path& place : places) {
    if (is_there(place / kPieces)) return place;
  }
  if (!options.tokenizer.empty())
    throw DataError((options.tokenizer / kPieces).string() + ": no such file; give the tokenizer");
  throw UsageError(text_encoder.string() +
                   ": no spiece.model in it or in a tokenizer/ beside it; name its folder with "
                   "--tokenizer");
}

// Mapped safetensors.
class MappedSource : public TensorSource {
 public:
  MappedSource(const fs::path& folder, const std::string& stem) : weights_(folder, stem) {
    for (const StoredTensor& stored : weights_.stored())
      tensors_.push_back({stored.name, stored.dtype, stored.shape});
  }
  const std::vector<SourceTensor>& tensors() const override { return tensors_; }
  at::Tensor read_rows(size_t index, RowRange rows) const override {
    return weights_.copy_rows(tensors_.at(index).name, rows);
  }
  std::string label(size_t index) const override {
    return weights_.path_of(tensors_.at(index).name);
  }

 private:
  WeightMap weights_;
  std::vector<SourceTensor> tensors_;
};

}  // namespace

ConvertInputs find_inputs(const ConvertOptions& given) {
  ConvertOptions options = given;
  options.in = cleaned(options.in);
  ConvertInputs inputs;
  inputs.transformer = find_transformer(options.in);
  inputs.vae = find_vae(options);
  inputs.text_encoder = cleaned(find_text_encoder(options));
  inputs.tokenizer = find_tokenizer(options, inputs.text_encoder);
  inputs.configs = options.configs;
  if (inputs.configs.empty() && options.kind.empty() && is_there(options.in / kIndex))
    inputs.configs = options.in;
  return inputs;
}

std::unique_ptr<TensorSource> open_source(const fs::path& path, const std::string& stem) {
  if (is_folder(path)) return std::make_unique<MappedSource>(path, stem);
  if (path.extension() == ".safetensors")
    return std::make_unique<MappedSource>(path.has_parent_path() ? path.parent_path() : ".",
                                          path.stem().string());
  return std::make_unique<TorchArchive>(path);
}

}  // namespace cogvx::app
