#include "app/latents_file.h"

#include <ATen/ops/from_blob.h>

#include <nlohmann/json.hpp>

#include "core/base/errors.h"
#include "core/weights/mapped_file.h"
#include "core/weights/safetensors.h"
#include "io/atomic_file.h"

namespace cogvx::app {
namespace {

constexpr char kRequestKey[] = "cogvx_request";

const char* stored_name(at::ScalarType dtype) {
  return dtype == at::kFloat ? "F32" : dtype == at::kBFloat16 ? "BF16" : "F16";
}

at::ScalarType stored_type(const std::string& name, const std::string& path) {
  if (name == "F32") return at::kFloat;
  if (name == "BF16") return at::kBFloat16;
  if (name == "F16") return at::kHalf;
  throw DataError(path + ": the latents are " + name + ", wanted F32, BF16 or F16");
}

}  // namespace

void write_latents(const std::string& path, const SavedLatents& saved) {
  const at::Tensor latents = saved.latents_LCYX.contiguous();
  StoredTensor entry{.name = "latents", .dtype = stored_name(latents.scalar_type()), .shape = {1}};
  entry.shape.insert(entry.shape.end(), latents.sizes().begin(), latents.sizes().end());
  const std::string prefix =
      safetensors_prefix({entry}, {{kRequestKey, request_to_json(saved.request).dump()}});
  io::AtomicFile file(path);
  file.write(prefix.data(), prefix.size());
  file.write(latents.const_data_ptr(), latents.nbytes());
  file.commit();
}

SavedLatents read_latents(const std::string& path) {
  const MappedFile file(path);
  const SafetensorsHeader header = parse_safetensors(file.bytes(), path);
  if (header.tensors.size() != 1 || header.tensors[0].name != "latents" ||
      header.tensors[0].shape.size() != 5 || header.tensors[0].shape[0] != 1) {
    throw DataError(
        path + ": holds no single tensor 'latents' [1,F,C,H,W]; was it written by --save-latents?");
  }
  const auto request = header.metadata.find(kRequestKey);
  if (request == header.metadata.end()) {
    throw DataError(path + ": its metadata holds no '" + kRequestKey +
                    "'; was it written by --save-latents?");
  }
  const StoredTensor& entry = header.tensors[0];
  const at::Tensor bytes = at::from_blob(const_cast<std::byte*>(file.bytes().data() + entry.begin),
                                         {static_cast<int64_t>(entry.end - entry.begin)},
                                         at::TensorOptions().dtype(at::kByte));
  const std::vector<int64_t> shape(entry.shape.begin() + 1, entry.shape.end());
  return {bytes.clone().view(stored_type(entry.dtype, path)).view(shape),
          request_from_json(
              nlohmann::json::parse(request->second, nullptr, /*allow_exceptions=*/false), path)};
}

}  // namespace cogvx::app
