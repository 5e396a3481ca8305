#include "tests/support/torch_file.h"

#include <caffe2/serialize/inline_container.h>

#include <fstream>
#include <stdexcept>

namespace cogvx::test {
namespace {

template <typename T>
std::string little_endian(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(value)};
}

std::string storage_type(const std::string& dtype) {
  if (dtype == "F32") return "FloatStorage";
  if (dtype == "F16") return "HalfStorage";
  if (dtype == "BF16") return "BFloat16Storage";
  if (dtype == "I64") return "LongStorage";
  throw std::invalid_argument("no storage for " + dtype);
}

int64_t element_size(const std::string& dtype) {
  return dtype == "I64" ? 8 : dtype == "F32" ? 4 : 2;
}

}  // namespace

PickleWriter& PickleWriter::text(const std::string& value) {
  return opcodes("X").opcodes(little_endian(static_cast<uint32_t>(value.size()))).opcodes(value);
}

PickleWriter& PickleWriter::integer(int64_t value) {
  if (value >= 0 && value < 256)
    return opcodes("K").opcodes(little_endian(static_cast<uint8_t>(value)));
  if (value >= INT32_MIN && value <= INT32_MAX)
    return opcodes("J").opcodes(little_endian(static_cast<int32_t>(value)));
  return opcodes("\x8a\x08").opcodes(little_endian(value));
}

PickleWriter& PickleWriter::tuple(const std::vector<int64_t>& values) {
  opcodes("(");
  for (const int64_t value : values) integer(value);
  return opcodes("t");
}

PickleWriter& PickleWriter::global(const std::string& module, const std::string& name) {
  return opcodes("c" + module + "\n" + name + "\n");
}

PickleWriter& PickleWriter::ordered_dict() {
  return global("collections", "OrderedDict").opcodes(")R");
}

PickleWriter& PickleWriter::storage(const std::string& type, const std::string& key,
                                    int64_t count) {
  opcodes("(").text("storage").global("torch", type).text(key).text("cpu").integer(count);
  return opcodes("tQ");
}

std::vector<int64_t> contiguous_strides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
  return strides;
}

std::string state_pickle(const std::string& wrapper, const std::vector<SavedTensor>& tensors) {
  PickleWriter pickle;
  if (!wrapper.empty()) pickle.opcodes("}").text(wrapper);
  pickle.ordered_dict().opcodes("(");
  for (size_t i = 0; i < tensors.size(); ++i) {
    const SavedTensor& tensor = tensors[i];
    const auto count = static_cast<int64_t>(tensor.bytes.size()) / element_size(tensor.dtype);
    pickle.text(tensor.name).global("torch._utils", "_rebuild_tensor_v2").opcodes("(");
    pickle.storage(storage_type(tensor.dtype), std::to_string(i), count);
    pickle.integer(tensor.offset).tuple(tensor.shape);
    pickle.tuple(tensor.strides.empty() ? contiguous_strides(tensor.shape) : tensor.strides);
    pickle.opcodes("\x89").ordered_dict().opcodes("tR");
  }
  // The attributes that a module's state_dict() has.
  pickle.opcodes("u}").text("_metadata").ordered_dict().opcodes("sb");
  if (!wrapper.empty()) pickle.opcodes("s");
  return pickle.opcodes(".").str();
}

void write_archive(const std::filesystem::path& path, const Records& records, Packing packing) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  caffe2::serialize::PyTorchStreamWriter writer([&](const void* data, size_t size) {
    file.write(static_cast<const char*>(data), static_cast<std::streamsize>(size));
    return file ? size : 0;
  });
  for (const auto& [name, bytes] : records)
    writer.writeRecord(name, bytes.data(), bytes.size(), packing == Packing::kDeflate);
  writer.writeEndOfFile();
}

void write_torch_file(const std::filesystem::path& path, const std::string& wrapper,
                      const std::vector<SavedTensor>& tensors) {
  Records records{{"data.pkl", state_pickle(wrapper, tensors)}, {"byteorder", "little"}};
  for (size_t i = 0; i < tensors.size(); ++i)
    records.emplace_back("data/" + std::to_string(i), tensors[i].bytes);
  write_archive(path, records);
}

}  // namespace cogvx::test
