#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

namespace cogvx {

// SHA-256 of a stream of bytes (FIPS 180-4); uses the CPU's SHA instructions where it has them.
class Sha256 {
 public:
  void update(const void* data, size_t size);
  // Ends the stream; 64 lower-case hexadecimal digits.
  std::string hex_digest();

 private:
  void compress(const uint8_t* blocks, size_t count);

  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> pending_{};
  size_t pending_size_ = 0;
  uint64_t total_size_ = 0;
};

std::string sha256_hex(const void* data, size_t size);

}  // namespace cogvx
