#include "app/launch.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "core/base/errors.h"

namespace cogvx::app {
namespace {

// Processes of a large job may start minutes apart.
constexpr std::chrono::minutes kPatience{10};

Mesh mesh_of(const LaunchPlace& place, const Options& options) {
  return make_mesh(static_cast<int>(options.cp), static_cast<int>(options.sp), place.world,
                   place.rank);
}

}  // namespace

void make_meeting_place(const LaunchPlace& place) {
  if (place.meeting_file.empty()) return;
  const std::filesystem::path folder = std::filesystem::path(place.meeting_file).parent_path();
  if (mkdir(folder.c_str(), 0700) == 0) return;
  struct stat found {};
  if (errno != EEXIST || lstat(folder.c_str(), &found) != 0 || !S_ISDIR(found.st_mode) ||
      found.st_uid != getuid()) {
    throw OutputError(folder.string() +
                      ": cannot make a folder for the processes to meet in; set TMPDIR to one that "
                      "can be written");
  }
}

std::optional<LaunchPlace> launch_place(const std::string& launcher) {
  return find_place(
      [](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) return std::nullopt;
        return value;
      },
      launcher);
}

void check_world(const LaunchPlace& place, const Options& options) { mesh_of(place, options); }

Ranks join_ranks(const LaunchPlace& place, const Options& options) {
  const Mesh mesh = mesh_of(place, options);
  const Rendezvous meeting =
      place.meeting_file.empty()
          ? Rendezvous::at_address(place.address,
                                   {.rank = place.rank,
                                    .world = place.world,
                                    .one_machine = place.local_world == place.world,
                                    .listens = place.rank == 0 && !place.launcher_listens,
                                    .attempt = place.attempt,
                                    .patience = kPatience,
                                    .interface = place.interface})
          : Rendezvous::by_file(place.meeting_file, place.world, kPatience);
  return Ranks(mesh,
               {.rendezvous = meeting,
                .folder = std::filesystem::path(place.meeting_file).parent_path(),
                .for_gpus = options.device == "cuda"},
               sequence_mode(options.sp_mode));
}

}  // namespace cogvx::app
