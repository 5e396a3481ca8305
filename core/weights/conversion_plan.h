#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/base/shapes.h"
#include "core/weights/safetensors.h"
#include "core/weights/sat_names.h"
#include "core/weights/tensor_source.h"

namespace cogvx {

// A run of rows of one of a source's tensors.
struct TensorPart {
  size_t source = 0;
  RowRange rows;
};

// A tensor to be written, and the rows it is made of, one after the other.
struct PlannedTensor {
  std::string name;
  std::string dtype;  // as stored in the source
  std::vector<int64_t> shape;
  std::vector<TensorPart> parts;
};

struct SourceNaming {
  std::string prefix;  // that may stand before all names of the source
  std::function<SatPlace(std::string_view name)> place;
  std::function<bool(std::string_view source_name)> unused;
};

SourceNaming diffusers_naming();
SourceNaming sat_transformer_naming(bool learned_positions);
SourceNaming sat_vae_naming();
// T5 as transformers saves it, with or without its decoder.
SourceNaming t5_naming();

// Every wanted tensor's place in the source. Throws DataError, naming up to three of them, where
// tensors are missing, are of another shape or dtype, or where the source holds some that nothing
// wants.
std::vector<PlannedTensor> plan_tensors(const TensorSource& source, const TensorShapes& wanted,
                                        const SourceNaming& naming, const std::string& label);

}  // namespace cogvx
