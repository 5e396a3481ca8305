#include "app/saved_run_files.h"

#include <ATen/ops/from_blob.h>
#include <ATen/ops/isfinite.h>
#include <c10/util/Exception.h>

#include <map>
#include <vector>

#include "core/base/errors.h"
#include "core/base/random.h"
#include "core/pipeline/saved_run.h"
#include "core/weights/mapped_file.h"
#include "core/weights/safetensors.h"
#include "io/atomic_file.h"

namespace cogvx::app {
namespace {

const std::map<std::string, at::ScalarType> kStoredTypes = {
    {"F32", at::kFloat}, {"BF16", at::kBFloat16}, {"F16", at::kHalf}, {"U8", at::kByte}};

const std::string& stored_name(at::ScalarType type) {
  for (const auto& [name, known] : kStoredTypes) {
    if (known == type) return name;
  }
  throw std::logic_error("no stored dtype for this tensor");
}

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

void write_tensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                   const std::map<std::string, std::string>& metadata) {
  std::vector<StoredTensor> entries;
  for (const auto& [name, tensor] : tensors) {
    entries.push_back(
        {.name = name, .dtype = stored_name(tensor.scalar_type()), .shape = tensor.sizes().vec()});
  }
  const std::string prefix = safetensors_prefix(entries, metadata);
  io::AtomicFile file(path);
  file.write(prefix.data(), prefix.size());
  for (const NamedTensor& entry : tensors) {
    const at::Tensor packed = entry.tensor.contiguous();
    file.write(packed.const_data_ptr(), packed.nbytes());
  }
  file.commit();
}

at::Tensor read_tensor(const MappedFile& file, const StoredTensor& entry) {
  // Data may start at any byte; a clone through bytes needs no alignment.
  const at::Tensor bytes = at::from_blob(const_cast<std::byte*>(file.bytes().data() + entry.begin),
                                         {static_cast<int64_t>(entry.end - entry.begin)},
                                         at::TensorOptions().dtype(at::kByte));
  return bytes.clone().view(kStoredTypes.at(entry.dtype)).view(entry.shape);
}

at::Tensor read_numbers(const MappedFile& file, const StoredTensor& entry) {
  const at::Tensor tensor = read_tensor(file, entry).squeeze(0);
  if (!at::isfinite(tensor).all().item<bool>()) {
    throw DataError(
        file.path().string() + ": tensor '" + entry.name +
        "' holds values that are not finite (NaN or infinity); the run that saved it cannot go on");
  }
  return tensor;
}

}  // namespace

void write_latents(const std::string& path, const SavedLatents& saved) {
  write_tensors(path, {{"latents", saved.latents_LCYX.unsqueeze(0)}},
                latents_metadata(saved.request, saved.engine));
}

void write_state(const std::string& path, const SavedState& saved) {
  const DenoiseState& state = saved.state;
  std::vector<NamedTensor> tensors = {{"latents", state.latents_LCYX.unsqueeze(0)},
                                      {"generator", state.generator.get_state()}};
  if (state.memory.previous_x0.defined())
    tensors.push_back({"previous_x0", state.memory.previous_x0.unsqueeze(0)});
  write_tensors(path, tensors, state_metadata(saved.request, saved.engine, state.next_step));
}

SavedLatents read_latents(const std::string& path) {
  const MappedFile file(path);
  const StoredLatents stored = parse_latents(file.bytes(), path);
  return {stored.request, stored.engine, read_numbers(file, stored.latents)};
}

SavedState read_state(const std::string& path) {
  const MappedFile file(path);
  const StoredState stored = parse_state(file.bytes(), path);
  SavedState saved{stored.request,
                   stored.engine,
                   {.latents_LCYX = read_numbers(file, stored.latents),
                    .memory = {},
                    .generator = make_generator(0),
                    .next_step = stored.next_step}};
  if (stored.previous_x0) saved.state.memory.previous_x0 = read_numbers(file, *stored.previous_x0);
  try {
    saved.state.generator.set_state(read_tensor(file, stored.generator));
  } catch (const c10::Error&) {
    throw DataError(path + ": tensor 'generator' is no state of a random generator of libtorch");
  }
  return saved;
}

}  // namespace cogvx::app
