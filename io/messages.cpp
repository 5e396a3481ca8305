#include "io/messages.h"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "core/base/errors.h"

namespace cogvx::io {
namespace {

const char* cure_for(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      return "make the folder first, or choose another path";
    case EACCES:
    case EPERM:
    case EROFS:
      return "choose a folder you may write to";
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return "make room there, or choose another folder";
    case ENAMETOOLONG:
      return "choose a shorter name";
    default:
      return "choose another path";
  }
}

}  // namespace

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  });
  return text;
}

std::string quoted(const std::filesystem::path& path) {
  return std::string("'").append(path.string()).append("'");
}

std::string output_error_text(const std::filesystem::path& path, const std::string& problem,
                              int error_number) {
  return quoted(path) + ": " + problem + ": " + std::generic_category().message(error_number) +
         "; " + cure_for(error_number);
}

void throw_output_error(const std::filesystem::path& path, const std::string& problem,
                        int error_number) {
  throw OutputError(output_error_text(path, problem, error_number));
}

}  // namespace cogvx::io
