#include "io/frames_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <stdexcept>
#include <system_error>

#include "core/base/errors.h"
#include "io/descriptor.h"
#include "io/messages.h"
#include "io/png_encoder.h"

namespace cogvx::io {
namespace {

namespace fs = std::filesystem;

std::string frame_name(int index) {
  std::array<char, 32> name{};
  std::snprintf(name.data(), name.size(), "%06d.png", index);
  return name.data();
}

// -1 for any other name. Only six digits: nobody else's numbering is touched.
int frame_index(const std::string& name) {
  constexpr size_t kDigits = 6;
  if (name.size() != kDigits + 4 || name.substr(kDigits) != ".png") return -1;
  const bool digits = std::all_of(name.begin(), name.begin() + kDigits,
                                  [](char letter) { return letter >= '0' && letter <= '9'; });
  int index = -1;
  if (digits) std::from_chars(name.data(), name.data() + kDigits, index);
  return index;
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

// Without the slash at its end, which `filename` and `rename` stumble over; links are followed.
fs::path resolved(const fs::path& path) {
  std::error_code error;
  if (is_folder(path)) {
    const fs::path real = fs::canonical(path, error);
    if (!error) return real;
  }
  return path.has_filename() ? path : path.parent_path();
}

const fs::path& checked(const fs::path& path) {
  if (path.empty()) throw UsageError("'' names no folder; give a folder for the frames");
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::none) {
    throw_output_error(path, "cannot look at the folder for the frames", error.value());
  }
  const bool dangling = !fs::exists(status) && fs::is_symlink(path, error);
  if (dangling || (fs::exists(status) && !fs::is_directory(status))) {
    throw UsageError(quoted(path) + " is " + (dangling ? "a link to nothing" : "no folder") +
                     ", wanted a folder for the frames; give another path");
  }
  return path;
}

fs::path parent_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

bool holds_files(const fs::path& folder) {
  std::error_code error;
  return !fs::is_empty(folder, error) || error;
}

// A new folder in its place would be ours, on the parent's disk, and would need the parent's leave.
bool must_stay(const fs::path& target) {
  struct stat folder {};
  struct stat parent {};
  if (::stat(target.c_str(), &folder) != 0) return false;
  const fs::path above = parent_of(target);
  return holds_files(target) || folder.st_uid != ::geteuid() ||
         ::stat(above.c_str(), &parent) != 0 || folder.st_dev != parent.st_dev ||
         ::faccessat(AT_FDCWD, above.c_str(), W_OK | X_OK, AT_EACCESS) != 0;
}

// The parent must be there before the temporary can be made beside the target.
fs::path with_parents(const fs::path& target, const fs::path& shown) {
  std::error_code error;
  fs::create_directories(parent_of(target), error);
  if (error) {
    throw_output_error(shown, "cannot make the folder " + quoted(parent_of(target)), error.value());
  }
  return target;
}

fs::path nearest_existing(fs::path path) {
  std::error_code ignored;
  while (!fs::exists(path, ignored) && path != parent_of(path)) path = parent_of(path);
  return path;
}

// A file of the temporary folder; errors name the path it is to have.
void write_frame(const fs::path& path, const AVPacket& packet, const fs::path& shown) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!file.is_open()) throw_output_error(shown, "cannot make the file", errno);
  write_all(file, packet.data, static_cast<size_t>(packet.size), shown);
  sync(file, shown);
}

}  // namespace

FramesFolder::FramesFolder(const fs::path& target)
    : shown_(target),
      target_(with_parents(resolved(checked(target)), shown_)),
      stays_(must_stay(target_)),
      temporary_(TemporaryKind::kFolder, stays_ ? target_ : parent_of(target_),
                 target_.filename().string(), shown_) {
  struct stat replaced {};
  if (!stays_ && ::stat(target_.c_str(), &replaced) == 0) {
    ::fchmod(temporary_.descriptor().number(), replaced.st_mode & 07777);
  }
}

void FramesFolder::write(const FramesView& frames, const FrameProgress& progress) {
  if (frames.count < 1) throw UsageError(quoted(shown_) + ": no frames; wanted one or more");
  PngEncoder encoder(frames.size);
  for (int i = 0; i < frames.count; ++i) {
    const fs::path shown = shown_ / frame_name(i);
    write_frame(temporary_.path() / frame_name(i), encoder.encode(frames[i], shown), shown);
    if (progress) progress(i + 1, frames.count);
  }
  count_ = frames.count;
}

void FramesFolder::commit() {
  if (count_ == 0) throw std::logic_error("FramesFolder::commit before write");
  sync(temporary_.descriptor(), shown_);
  if (!stays_) {
    if (::rename(temporary_.path().c_str(), target_.c_str()) == 0) {
      temporary_.keep();
      sync_folder(parent_of(target_));
      return;
    }
    // Files came into the target since we looked.
    const int error = errno;
    if (error != ENOTEMPTY && error != EEXIST) {
      throw_output_error(shown_, "cannot rename the finished " + quoted(temporary_.path()), error);
    }
  }
  move_frames();
  remove_later_frames();
  sync_folder(target_);
}

void FramesFolder::move_frames() {
  for (int i = 0; i < count_; ++i) {
    const std::string name = frame_name(i);
    if (::rename((temporary_.path() / name).c_str(), (target_ / name).c_str()) == 0) continue;
    const int error = errno;
    throw_output_error(shown_ / name, "cannot move the finished frame here", error);
  }
}

void FramesFolder::remove_later_frames() const {
  std::error_code error;
  fs::directory_iterator entry(target_, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (frame_index(name) < count_ || fs::is_directory(entry->symlink_status(ignored))) continue;
    if (::unlink(entry->path().c_str()) == 0) continue;
    const int number = errno;
    throw_output_error(shown_ / name, "cannot remove the old frame", number);
  }
  if (error) throw_output_error(shown_, "cannot look for old frames", error.value());
}

void check_frames_folder(const fs::path& path, bool overwrite) {
  const fs::path target = resolved(checked(path));
  const std::string name = target.filename().string();
  if (is_folder(target)) {
    remove_abandoned(TemporaryKind::kFolder, target, name);
    if (!overwrite && holds_files(target)) {
      throw UsageError(quoted(path) + " holds files; pass --overwrite to replace the frames in it");
    }
  }
  // Only making a folder tells about read-only mounts, quotas and rights alike.
  const fs::path place = must_stay(target) ? target : nearest_existing(parent_of(target));
  const Temporary probe(TemporaryKind::kFolder, place, name, path);
}

fs::path frame_path(const fs::path& folder, int index) { return folder / frame_name(index); }

int count_frame_files(const fs::path& folder) {
  std::error_code error;
  int count = 0;
  int last = -1;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const int index = frame_index(entry->path().filename().string());
    if (index >= 0) ++count;
    last = std::max(last, index);
  }
  if (error) throw DataError(quoted(folder) + ": cannot be read: " + error.message());
  if (count == 0) {
    throw DataError(quoted(folder) + ": folder without frames; wanted 000000.png, 000001.png, ...");
  }
  for (int i = 0; i < count; ++i) {
    if (fs::exists(frame_path(folder, i), error)) continue;
    throw DataError(quoted(frame_path(folder, i)) + ": missing, but there are frames up to " +
                    frame_name(last) + "; number them from 000000.png on without a gap");
  }
  return count;
}

}  // namespace cogvx::io
