#include <ATen/ops/empty.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <thread>

#include "app/doctor.h"
#include "app/library_versions.h"
#include "core/base/errors.h"
#include "io/libav_versions.h"
#include "io/temporary.h"
#include "parallel/rendezvous.h"

namespace cogvx::app {
namespace {

using Level = Finding::Level;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{10};
constexpr int64_t kMessageBytes = 4 << 20;

Finding examine_libraries() {
  std::string text;
  for (const auto& [name, version] : library_versions("cogvx-gen"))
    text += (text.empty() ? "" : ", ") + name + " " + version;
  return {Level::kOk, "versions", text};
}

// Without these no video at all, or not by the flag that names them.
std::vector<Finding> examine_encoders() {
  std::string there;
  std::vector<Finding> found;
  for (const auto& [encoder, needed_for, level] :
       {std::tuple{"libx264", "every video without --codec", Level::kProblem},
        std::tuple{"libx265", "--codec hevc", Level::kWarning},
        std::tuple{"ffv1", "--lossless", Level::kWarning},
        std::tuple{"png", "--frames-dir", Level::kWarning}}) {
    if (io::has_encoder(encoder)) {
      there += (there.empty() ? "" : ", ") + std::string(encoder);
    } else {
      found.push_back({level, "libav encoders",
                       std::string("no ") + encoder + ", wanted by " + needed_for,
                       std::string("install a libavcodec with ") + encoder});
    }
  }
  found.insert(found.begin(), {Level::kOk, "libav encoders", there.empty() ? "none" : there});
  return found;
}

uint8_t letter(int from, int to, int64_t at) {
  return static_cast<uint8_t>((from * 2 + to) * 61 + at * 31);
}

// One member's part: gives each its bytes and looks at what it got. Returns whether they are right.
bool exchange_bytes(const Rendezvous& meeting, int rank) {
  const std::unique_ptr<Group> group =
      meeting.make_gloo_group({.name = "doctor", .rank = rank, .size = 2});
  const at::Tensor send = at::empty({2 * kMessageBytes}, at::kByte),
                   recv = at::empty({2 * kMessageBytes}, at::kByte);
  auto* sent = send.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < 2 * kMessageBytes; ++i)
    sent[i] = letter(rank, static_cast<int>(i / kMessageBytes), i);
  const Splits splits(2, kMessageBytes);
  group->all_to_all(send, splits, recv, splits);
  group->barrier();
  const auto* got = recv.const_data_ptr<uint8_t>();
  for (int64_t i = 0; i < 2 * kMessageBytes; ++i) {
    if (got[i] !=
        letter(static_cast<int>(i / kMessageBytes), rank, i % kMessageBytes + rank * kMessageBytes))
      return false;
  }
  return true;
}

// As two processes of a run would, in two threads.
bool two_exchange_bytes() {
  const std::filesystem::path folder = std::filesystem::temp_directory_path();
  const io::Temporary meeting(io::TemporaryKind::kFolder, folder, "cogvx-doctor", folder);
  bool right[2] = {};
  std::exception_ptr failures[2];
  const auto play = [&](int rank) {
    try {
      right[rank] =
          exchange_bytes(Rendezvous::by_file(meeting.path() / "file", 2, kPatience), rank);
    } catch (...) {
      failures[rank] = std::current_exception();
    }
  };
  std::thread other(play, 1);
  play(0);
  other.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
  return right[0] && right[1];
}

Finding examine_meeting() {
  const std::string name = "c10d round trip";
  const char* cure =
      "the loopback interface and this host's name must work (try: getent hosts $(hostname)); runs "
      "of one process need neither";
  const auto start = Clock::now();
  try {
    if (!two_exchange_bytes())
      return {Level::kProblem, name, "bytes arrive changed", "test this machine's memory"};
  } catch (const std::exception& failure) {
    return {Level::kProblem, name, failure.what(), cure};
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  char text[80];
  std::snprintf(text, sizeof text, "two met and exchanged %d MiB over Gloo in %.2f s",
                static_cast<int>(2 * kMessageBytes >> 20), seconds);
  return {Level::kOk, name, text};
}

}  // namespace

std::vector<Finding> examine_software() {
  std::vector<Finding> all = {examine_libraries()};
  const std::vector<Finding> encoders = examine_encoders();
  all.insert(all.end(), encoders.begin(), encoders.end());
  all.push_back(examine_meeting());
  return all;
}

}  // namespace cogvx::app
