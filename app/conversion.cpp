#include "app/conversion.h"

#include <algorithm>

#include "app/component_writer.h"
#include "app/convert_configs.h"
#include "app/convert_inputs.h"
#include "app/json_text.h"
#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/transformer/tensor_list.h"
#include "core/weights/config.h"
#include "core/weights/expected_tensors.h"

namespace cogvx::app {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kDiffusersStem = "diffusion_pytorch_model";

bool holds_name(const TensorSource& source, std::string_view part) {
  return std::any_of(
      source.tensors().begin(), source.tensors().end(),
      [&](const SourceTensor& tensor) { return tensor.name.find(part) != std::string::npos; });
}

SourceNaming transformer_naming(const TensorSource& source, const TransformerConfig& config) {
  return holds_name(source, "attention.query_key_value")
             ? sat_transformer_naming(config.use_learned_positional_embeddings)
             : diffusers_naming();
}

std::vector<PlannedTensor> plan_transformer(const TensorSource& source, const json& config,
                                            const std::string& label,
                                            const std::string& config_label) {
  const TransformerConfig parsed = parse_transformer_config(config, config_label);
  return plan_tensors(source, transformer_tensors(parsed), transformer_naming(source, parsed),
                      label);
}

// The kind that the tensors are of.
std::string find_kind(const TensorSource& source, const std::string& label) {
  std::string names;
  for (const std::string& kind : convertible_kinds()) {
    try {
      plan_transformer(source, configs_of_kind(kind).transformer, label, kind);
      return kind;
    } catch (const DataError&) {
      names += (names.empty() ? "" : ", ") + kind;
    }
  }
  throw DataError(label + ": its " + std::to_string(source.tensors().size()) +
                  " tensors are those of none of " + names +
                  "; name one with --kind to hear what differs, or give config files with "
                  "--configs");
}

ComponentPlan transformer_plan(const fs::path& path, const std::string& kind,
                               const fs::path& configs_dir, CheckpointConfigs& configs,
                               std::string& found_kind) {
  ComponentPlan plan{.folder = "transformer",
                     .stem = kDiffusersStem,
                     .config = {},
                     .source = open_source(path, kDiffusersStem),
                     .tensors = {}};
  std::string config_label;
  if (!configs_dir.empty()) {
    configs = read_configs(configs_dir);
    config_label = (configs_dir / "transformer" / "config.json").string();
  } else {
    found_kind = kind.empty() ? find_kind(*plan.source, path.string()) : kind;
    configs = configs_of_kind(found_kind);
    config_label = found_kind;
  }
  plan.config = configs.transformer;
  plan.tensors = plan_transformer(*plan.source, plan.config, path.string(), config_label);
  return plan;
}

ComponentPlan vae_plan(const fs::path& path, const json& config) {
  ComponentPlan plan{.folder = "vae",
                     .stem = kDiffusersStem,
                     .config = config,
                     .source = open_source(path, kDiffusersStem),
                     .tensors = {}};
  const bool sat = holds_name(*plan.source, "encoder.down.");
  plan.tensors =
      plan_tensors(*plan.source, vae_tensors(parse_vae_config(config, "the VAE's config")),
                   sat ? sat_vae_naming() : diffusers_naming(), path.string());
  return plan;
}

ComponentPlan text_encoder_plan(const fs::path& folder, const json& known_config) {
  ComponentPlan plan{.folder = "text_encoder",
                     .stem = "model",
                     .config = known_config,
                     .source = open_source(folder, "model"),
                     .tensors = {}};
  const fs::path config = folder / "config.json";
  std::error_code ignored;
  if (fs::exists(config, ignored)) plan.config = read_json_object(config);
  plan.tensors =
      plan_tensors(*plan.source, t5_tensors(parse_t5_config(plan.config, config.string())),
                   t5_naming(), folder.string());
  return plan;
}

size_t byte_size(const PlannedTensor& tensor, const std::string& dtype) {
  size_t size = stored_dtype_size(dtype.empty() ? tensor.dtype : dtype);
  for (const int64_t extent : tensor.shape) size *= static_cast<size_t>(extent);
  return size;
}

void write_json(const fs::path& path, const json& value, const fs::path& shown) {
  write_new_file(path, value.dump(2) + "\n", shown);
}

}  // namespace

ConversionPlan plan_conversion(const ConvertOptions& options) {
  const ConvertInputs inputs = find_inputs(options);
  ConversionPlan plan;
  CheckpointConfigs configs;
  plan.components.push_back(
      transformer_plan(inputs.transformer, options.kind, inputs.configs, configs, plan.kind));
  plan.components.push_back(vae_plan(inputs.vae, configs.vae));
  plan.components.push_back(text_encoder_plan(inputs.text_encoder, configs.text_encoder));
  plan.model_index = configs.model_index;
  plan.scheduler = configs.scheduler;
  plan.tokenizer = inputs.tokenizer;
  plan.notices = {"transformer from " + inputs.transformer.string() +
                      (plan.kind.empty() ? "" : ", which is of " + plan.kind),
                  "VAE from " + inputs.vae.string(),
                  "text encoder from " + inputs.text_encoder.string(),
                  "tokenizer from " + inputs.tokenizer.string()};
  if (!inputs.configs.empty())
    plan.notices.push_back("config files from " + inputs.configs.string());
  return plan;
}

std::vector<std::string> mapping_lines(const ComponentPlan& component) {
  std::vector<std::string> lines;
  for (const PlannedTensor& tensor : component.tensors) {
    std::string line = component.folder + "/" + tensor.name + " " + shape_text(tensor.shape) + " " +
                       tensor.dtype + " <-";
    for (const TensorPart& part : tensor.parts) {
      const SourceTensor& source = component.source->tensors()[part.source];
      line += " " + source.name;
      if (part.rows.size() != row_count(source.shape))
        line += "[" + std::to_string(part.rows.begin) + ":" + std::to_string(part.rows.end) + "]";
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

void convert(const ConversionPlan& plan, const ConvertOptions& options,
             const ConversionWatch& watch) {
  size_t total = 0, done = 0;
  for (const ComponentPlan& component : plan.components) {
    for (const PlannedTensor& tensor : component.tensors) total += byte_size(tensor, options.dtype);
  }
  NewFolder out(options.out, total);
  write_json(out.path() / "model_index.json", plan.model_index, options.out);
  write_json(out.make("scheduler") / "scheduler_config.json", plan.scheduler, options.out);
  copy_tokenizer(plan.tokenizer, out.make("tokenizer"), options.out);
  for (const bool verifying : {false, true}) {
    if (verifying && !options.verify) break;
    done = 0;
    for (const ComponentPlan& component : plan.components) {
      const ComponentFiles files{
          .folder = verifying ? out.path() / component.folder : out.make(component.folder),
          .stem = component.stem,
          .dtype = options.dtype,
          .max_shard_bytes = options.max_shard_bytes,
          .shown = options.out};
      const auto after_chunk = [&](size_t bytes) {
        done += bytes;
        if (watch.progress) watch.progress(done, total, verifying);
        if (watch.stop.load() != 0) throw Interrupted("stopped by a signal; nothing is left of it");
      };
      if (verifying) {
        compare_component(*component.source, component.tensors, files, after_chunk);
      } else {
        write_component(*component.source, component.tensors, files, after_chunk);
        write_json(files.folder / "config.json", component.config, options.out);
      }
    }
  }
  out.commit();
}

}  // namespace cogvx::app
