#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/weights/conversion_plan.h"
#include "io/temporary.h"

namespace cogvx::app {

// A folder that appears under its name only when it is complete; without `commit` nothing stays.
class NewFolder {
 public:
  // UsageError where the target is there and no empty folder; OutputError where it cannot be made,
  // or its disk has less than `bytes` of room.
  NewFolder(const std::filesystem::path& target, size_t bytes);
  const std::filesystem::path& path() const { return temporary_.path(); }
  // A folder in it.
  std::filesystem::path make(const std::string& name) const;
  // OutputError.
  void commit();

 private:
  std::filesystem::path shown_;
  std::filesystem::path target_;
  io::Temporary temporary_;
};

// A file that must not be there yet, brought to disk. OutputErrors name `shown`.
void write_new_file(const std::filesystem::path& path, std::string_view text,
                    const std::filesystem::path& shown);
// The files of a sentencepiece tokenizer that are there.
void copy_tokenizer(const std::filesystem::path& from, const std::filesystem::path& to,
                    const std::filesystem::path& shown);

// The files of one component.
struct ComponentFiles {
  std::filesystem::path folder;
  std::string stem;
  std::string dtype;  // empty: each tensor's own
  size_t max_shard_bytes = 0;
  std::filesystem::path shown;
};

// Told how many bytes were done since the last time.
using AfterChunk = std::function<void(size_t bytes)>;

// Writes `<stem>.safetensors`, or shards and their index, piece by piece. Throws DataError for
// numbers that are not finite or not in the dtype, OutputError, and what after_chunk throws.
void write_component(const TensorSource& source, const std::vector<PlannedTensor>& tensors,
                     const ComponentFiles& files, const AfterChunk& after_chunk);
// Reads the files back and converts once more. OutputError where bytes differ.
void compare_component(const TensorSource& source, const std::vector<PlannedTensor>& tensors,
                       const ComponentFiles& files, const AfterChunk& after_chunk);

}  // namespace cogvx::app
