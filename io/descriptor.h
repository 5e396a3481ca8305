#pragma once

#include <cstddef>
#include <filesystem>
#include <utility>

namespace cogvx::io {

// An open file or folder, closed with the object; -1 is none.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  ~Descriptor() { reset(); }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  void reset();

 private:
  int number_;
};

// OutputErrors name `shown`, the path as the user knows it.
void write_all(const Descriptor& file, const void* data, size_t size,
               const std::filesystem::path& shown);
// Brings the bytes to disk.
void sync(const Descriptor& file, const std::filesystem::path& shown);

// Makes a rename in `folder` last. The file is whole either way, so a refusal is no failure.
void sync_folder(const std::filesystem::path& folder);

}  // namespace cogvx::io
