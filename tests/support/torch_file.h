#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

// What torch.save writes, made without Python.
namespace cogvx::test {

// A pickle of protocol 2, opcode by opcode.
class PickleWriter {
 public:
  PickleWriter& opcodes(const std::string& bytes) {
    text_ += bytes;
    return *this;
  }
  PickleWriter& text(const std::string& value);
  PickleWriter& integer(int64_t value);
  // (values...)
  PickleWriter& tuple(const std::vector<int64_t>& values);
  PickleWriter& global(const std::string& module, const std::string& name);
  // collections.OrderedDict()
  PickleWriter& ordered_dict();
  // A storage by its persistent id.
  PickleWriter& storage(const std::string& type, const std::string& key, int64_t count);
  std::string str() const { return text_; }

 private:
  std::string text_ = "\x80\x02";
};

struct SavedTensor {
  std::string name;
  std::string dtype;  // "F32", "F16" or "BF16"
  std::vector<int64_t> shape;
  std::string bytes;                  // of the whole storage
  std::vector<int64_t> strides = {};  // empty: those of a contiguous tensor
  int64_t offset = 0;
};

std::vector<int64_t> contiguous_strides(const std::vector<int64_t>& shape);
// data.pkl of {wrapper: OrderedDict(tensors)}; without a wrapper the dictionary itself. Storage i
// is the record data/<i>.
std::string state_pickle(const std::string& wrapper, const std::vector<SavedTensor>& tensors);

using Records = std::vector<std::pair<std::string, std::string>>;
// torch.save never compresses.
enum class Packing { kStore, kDeflate };
// A zip archive of these records as PyTorch writes one.
void write_archive(const std::filesystem::path& path, const Records& records,
                   Packing packing = Packing::kStore);
void write_torch_file(const std::filesystem::path& path, const std::string& wrapper,
                      const std::vector<SavedTensor>& tensors);

}  // namespace cogvx::test
