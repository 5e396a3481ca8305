#include "core/weights/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <tuple>

#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/base/lfs_pointer.h"

namespace cogvx {
namespace {

using nlohmann::json;

constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxHeaderBytes = 100'000'000;  // the reference implementation's own limit
constexpr size_t kMaxRank = 64;
constexpr uint64_t kMaxOffset = uint64_t{1} << 62;  // sums of such stay in a size_t

[[noreturn]] void fail(const std::string& label, const std::string& what) {
  throw DataError(label + ": " + what);
}

size_t element_count(const StoredTensor& tensor, const std::string& label) {
  size_t count = 1;
  for (int64_t extent : tensor.shape) {
    if (extent != 0 &&
        count > std::numeric_limits<size_t>::max() / 16 / static_cast<size_t>(extent)) {
      fail(label,
           "tensor " + quoted_excerpt(tensor.name) + " claims more elements than a file can hold");
    }
    count *= static_cast<size_t>(extent);
  }
  return count;
}

bool is_count(const json& value) {
  return value.is_number_unsigned() || (value.is_number_integer() && value.get<int64_t>() >= 0);
}

StoredTensor parse_tensor(const std::string& name, const json& entry, size_t data_begin,
                          const std::string& label) {
  StoredTensor tensor{.name = name};
  const auto complain = [&](const std::string& what) {
    fail(label, "tensor " + quoted_excerpt(name) + " " + what);
  };
  if (!entry.is_object()) complain("has no description");
  const json dtype = entry.value("dtype", json());
  const json shape = entry.value("shape", json());
  const json offsets = entry.value("data_offsets", json());
  if (!dtype.is_string() || stored_dtype_size(dtype) == 0)
    complain("has the unknown dtype " + json_excerpt(dtype));
  if (!shape.is_array() || shape.size() > kMaxRank ||
      !std::all_of(shape.begin(), shape.end(), is_count)) {
    complain("has the impossible shape " + json_excerpt(shape));
  }
  if (!offsets.is_array() || offsets.size() != 2 || !is_count(offsets[0]) ||
      !is_count(offsets[1])) {
    complain("has the impossible data_offsets " + json_excerpt(offsets));
  }
  tensor.dtype = dtype;
  for (const json& extent : shape) {
    if (extent.get<uint64_t>() > uint64_t{1} << 48)
      complain("has the impossible shape " + json_excerpt(shape));
    tensor.shape.push_back(extent);
  }
  const auto begin = offsets[0].get<uint64_t>();
  const auto end = offsets[1].get<uint64_t>();
  if (begin > end || end > kMaxOffset)
    complain("has the impossible data_offsets " + json_excerpt(offsets));
  const size_t wanted = element_count(tensor, label) * stored_dtype_size(tensor.dtype);
  if (end - begin != wanted) {
    complain("takes " + std::to_string(end - begin) + " bytes, its shape " + json_excerpt(shape) +
             " in " + tensor.dtype + " wants " + std::to_string(wanted));
  }
  tensor.begin = data_begin + begin;
  tensor.end = data_begin + end;
  return tensor;
}

void check_layout(const SafetensorsHeader& header, size_t data_begin, size_t file_size,
                  const std::string& label) {
  size_t at = data_begin;
  for (const StoredTensor& tensor : header.tensors) {
    if (tensor.begin != at) {
      fail(label, "tensor " + quoted_excerpt(tensor.name) + " starts at byte " +
                      std::to_string(tensor.begin) + ", the one before ends at " +
                      std::to_string(at));
    }
    at = tensor.end;
  }
  if (at != file_size) {
    fail(label, "the file has " + std::to_string(file_size) + " bytes, its header describes " +
                    std::to_string(at) + "; is the download complete?");
  }
}

}  // namespace

size_t stored_dtype_size(const std::string& dtype) {
  static const std::map<std::string, size_t> sizes = {
      {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},
      {"I32", 4}, {"I16", 2}, {"I8", 1},  {"U8", 1},   {"BOOL", 1}};
  const auto found = sizes.find(dtype);
  return found == sizes.end() ? 0 : found->second;
}

SafetensorsHeader parse_safetensors(std::span<const std::byte> file, const std::string& label) {
  static_assert(std::endian::native == std::endian::little);
  refuse_lfs_pointer({reinterpret_cast<const char*>(file.data()), file.size()}, label);
  if (file.size() < kLengthBytes) {
    fail(label, "has " + std::to_string(file.size()) +
                    " bytes, too few for a safetensors file; is the download complete?");
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kMaxHeaderBytes || length > file.size() - kLengthBytes) {
    fail(label, "claims a header of " + std::to_string(length) + " bytes, the file has " +
                    std::to_string(file.size()) +
                    "; is it a safetensors file, and is the download complete?");
  }
  const std::string_view text(reinterpret_cast<const char*>(file.data()) + kLengthBytes, length);
  const json parsed = parse_json_object(text, label + ": header");
  const size_t data_begin = kLengthBytes + length;

  SafetensorsHeader header;
  for (const auto& [name, entry] : parsed.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) fail(label, "__metadata__ is not an object");
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string())
          fail(label, "__metadata__ " + quoted_excerpt(key) + " is not a string");
        header.metadata[key] = value;
      }
    } else {
      header.tensors.push_back(parse_tensor(name, entry, data_begin, label));
    }
  }
  std::sort(header.tensors.begin(), header.tensors.end(),
            [](const StoredTensor& a, const StoredTensor& b) {
              return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
            });
  check_layout(header, data_begin, file.size(), label);
  return header;
}

std::string safetensors_prefix(const std::vector<StoredTensor>& tensors,
                               const std::map<std::string, std::string>& metadata) {
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  size_t at = 0;
  for (const StoredTensor& tensor : tensors) {
    size_t size = stored_dtype_size(tensor.dtype);
    for (int64_t extent : tensor.shape) size *= static_cast<size_t>(extent);
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {at, at + size}}};
    at += size;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  std::string prefix(reinterpret_cast<const char*>(&length), kLengthBytes);
  return prefix + text;
}

}  // namespace cogvx
