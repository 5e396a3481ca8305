#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/base/errors.h"
#include "core/weights/safetensors.h"

namespace cogvx::fuzz {

inline std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// Ends the process, and so makes a finding, where an invariant does not hold.
void require(bool holds, const char* invariant);
// A message is one line of bounded length that starts with the label.
void require_message(std::string_view message, std::string_view label);

// Tensors lie inside the file behind its header, one after the other, each of the size its shape
// says.
void require_layout(const SafetensorsHeader& header, size_t file_size);
// A file of these tensors, their bytes taken from `file`.
std::string written_again(const SafetensorsHeader& header, std::string_view file);
// Equal in all but the place of the data.
void require_equal(const SafetensorsHeader& a, const SafetensorsHeader& b);

// Runs a parser; a DataError is checked and is no finding, any other exception is one.
template <typename Parse>
bool parses(const Parse& parse) {
  try {
    parse();
    return true;
  } catch (const DataError& error) {
    require_message(error.what(), "input");
    return false;
  }
}

// Mutates as libFuzzer does and then mostly mends the length in front of a safetensors header,
// which otherwise hardly any mutated file would get past.
size_t mutate_safetensors(uint8_t* data, size_t size, size_t max_size, unsigned seed);

}  // namespace cogvx::fuzz
