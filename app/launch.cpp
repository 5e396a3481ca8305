#include "app/launch.h"

#include <charconv>
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "app/supervisor.h"
#include "core/base/errors.h"

namespace cogvx::app {
namespace {

// Processes of a large job may start minutes apart.
constexpr std::chrono::minutes kPatience{10};

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

int number(const char* name, int least, int most) {
  const std::string text = variable(name).value_or("");
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    throw UsageError(std::string(name) + " is '" + text + "', wanted " + std::to_string(least) +
                     " to " + std::to_string(most) + "; was this process started by a launcher?");
  }
  return value;
}

constexpr int kMaxWorld = 4096;

}  // namespace

std::optional<LaunchPlace> launch_place(const std::string& launcher) {
  if (const auto file = variable(kMeetingVariable)) {
    const int world = number(kWorldVariable, 1, kMaxWorld);
    return LaunchPlace{.rank = number(kRankVariable, 0, world - 1),
                       .world = world,
                       .meeting_file = *file,
                       .address = {},
                       .local_world = world,
                       .supervised = true};
  }
  if (launcher == "spawn" || launcher == "none") return std::nullopt;
  if (variable("RANK") && variable("WORLD_SIZE")) {
    const int world = number("WORLD_SIZE", 1, kMaxWorld);
    const int local_world =
        variable("LOCAL_WORLD_SIZE") ? number("LOCAL_WORLD_SIZE", 1, world) : world;
    return LaunchPlace{.rank = number("RANK", 0, world - 1),
                       .world = world,
                       .meeting_file = {},
                       .address = {variable("MASTER_ADDR").value_or("127.0.0.1"),
                                   static_cast<uint16_t>(number("MASTER_PORT", 1, 65535))},
                       .local_world = local_world};
  }
  if (launcher == "env")
    throw UsageError("--launcher env: RANK and WORLD_SIZE are not set; start it with torchrun");
  return std::nullopt;
}

Ranks join_ranks(const LaunchPlace& place, const Options& options) {
  const Mesh mesh = make_mesh(static_cast<int>(options.cp), static_cast<int>(options.sp),
                              place.world, place.rank);
  const Rendezvous meeting =
      place.meeting_file.empty()
          ? Rendezvous::at_address(place.address, place.rank, place.world, kPatience)
          : Rendezvous::by_file(place.meeting_file, place.world, kPatience);
  Ranks ranks(mesh, meeting);
  // Once all have met, the place has served; a killed supervisor leaves nothing behind.
  ranks.wait_for_all();
  if (ranks.is_first() && !place.meeting_file.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(std::filesystem::path(place.meeting_file).parent_path(), ignored);
  }
  return ranks;
}

}  // namespace cogvx::app
