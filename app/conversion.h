#pragma once

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/convert_options.h"
#include "core/weights/conversion_plan.h"

namespace cogvx::app {

// One component of a checkpoint, to be written.
struct ComponentPlan {
  std::string folder;  // "transformer", ...
  std::string stem;    // of its weight files
  nlohmann::json config;
  std::unique_ptr<TensorSource> source;
  std::vector<PlannedTensor> tensors;
};

struct ConversionPlan {
  std::string kind;  // empty where config files were given
  nlohmann::json model_index;
  nlohmann::json scheduler;
  std::vector<ComponentPlan> components;
  std::filesystem::path tokenizer;
  std::vector<std::string> notices;  // what was found where, a line each
};

// What the conversion will do; reads headers and configs, no weights. Throws UsageError or
// DataError.
ConversionPlan plan_conversion(const ConvertOptions& options);

// One line for each tensor: its name and shape, and what it is made of.
std::vector<std::string> mapping_lines(const ComponentPlan& component);

struct ConversionWatch {
  // Bytes written or, with `verifying`, compared so far, of all.
  std::function<void(size_t done, size_t total, bool verifying)> progress;
  // Not 0: the signal that asks for a stop.
  const std::atomic<int>& stop;
};

// Makes options.out. Throws DataError for numbers that are none or do not fit the dtype,
// OutputError, Interrupted; nothing is left then.
void convert(const ConversionPlan& plan, const ConvertOptions& options,
             const ConversionWatch& watch);

}  // namespace cogvx::app
