#include "app/text_input.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "core/base/errors.h"

namespace cogvx::app {
namespace {

std::string read_all(std::istream& stream, const std::string& name, size_t max_bytes) {
  std::string text, piece(size_t{1} << 16, '\0');
  while (stream && text.size() <= max_bytes) {
    stream.read(piece.data(), static_cast<std::streamsize>(piece.size()));
    text.append(piece, 0, static_cast<size_t>(stream.gcount()));
  }
  if (stream.bad()) throw DataError(name + ": cannot be read to its end");
  if (text.size() > max_bytes) {
    throw UsageError(name + ": is longer than " + std::to_string(max_bytes >> 20) +
                     " MiB; is it the right file?");
  }
  return text;
}

}  // namespace

std::string read_text(const std::string& path, const std::string& name, size_t max_bytes) {
  if (path == "-") {
    std::string text = read_all(std::cin, name, max_bytes);
    // The stream takes a refused read for the end.
    if (std::ferror(stdin) != 0) throw DataError(name + ": standard input cannot be read");
    return text;
  }
  std::error_code ignored;
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path, ignored))
    throw DataError(name + ": cannot be read; give a text file, or - for standard input");
  return read_all(file, name, max_bytes);
}

bool is_read_once(const std::string& path) {
  std::error_code ignored;
  return path == "-" || !std::filesystem::is_regular_file(path, ignored);
}

}  // namespace cogvx::app
