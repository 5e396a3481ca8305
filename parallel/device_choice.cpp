#include "parallel/device_choice.h"

#include <ATen/ops/zeros.h>

#include <cstring>
#include <map>

#include "core/base/errors.h"

namespace cogvx {
namespace {

constexpr size_t kHostBytes = 256, kUuidBytes = 64, kPlaceBytes = kHostBytes + kUuidBytes;
constexpr int kLeastMajor = 8;

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// Of `count` devices that CUDA shows.
std::string shown_text(size_t count, const std::optional<std::string>& variable) {
  const auto entries = visible_entries(variable);
  if (!entries) return "CUDA_VISIBLE_DEVICES is not set";
  std::string text = "CUDA_VISIBLE_DEVICES is '" + *variable + "'";
  if (entries->size() > count)
    text += ", of which CUDA finds no device for '" + (*entries)[count] + "' and what follows";
  return text;
}

std::string place_text(const GpuPlace& place) { return place.uuid + " of host " + place.host; }

}  // namespace

std::optional<std::vector<std::string>> visible_entries(
    const std::optional<std::string>& variable) {
  if (!variable) return {};
  std::vector<std::string> entries;
  if (trimmed(*variable).empty()) return entries;
  for (size_t begin = 0; begin <= variable->size();) {
    const size_t end = std::min(variable->find(',', begin), variable->size());
    entries.push_back(trimmed(variable->substr(begin, end - begin)));
    begin = end + 1;
  }
  return entries;
}

int choose_device(const std::vector<CudaDevice>& devices, const LocalPlace& place,
                  const std::optional<std::string>& variable) {
  const int count = static_cast<int>(devices.size());
  if (place.rank < count && place.size <= count) return place.rank;
  if (count == 1) return 0;
  throw DeviceError("CUDA: this machine shows " + std::to_string(count) + " GPUs (" +
                    shown_text(devices.size(), variable) + ") and runs " +
                    std::to_string(place.size) +
                    " processes, wanted a GPU for each; start fewer processes on it, or show it "
                    "more GPUs");
}

void check_device(const CudaDevice& device) {
  const std::string name = "CUDA: GPU " + std::to_string(device.index) + ", '" + device.name +
                           "', has compute capability " + std::to_string(device.compute_major) +
                           "." + std::to_string(device.compute_minor);
  if (device.compute_major < kLeastMajor)
    throw DeviceError(name + ", wanted 8.0 or newer; use another GPU, or run on the CPU");
  if (!device.supported)
    throw DeviceError(name +
                      ", for which this build has no code; build it again with that architecture, "
                      "use another GPU, or run on the CPU");
}

std::vector<GpuPlace> gather_gpu_places(Group& world, const GpuPlace& own) {
  const at::TensorOptions bytes = at::TensorOptions().dtype(at::kByte);
  const at::Tensor send = at::zeros({kPlaceBytes}, bytes);
  const at::Tensor recv = at::zeros({static_cast<int64_t>(kPlaceBytes) * world.size()}, bytes);
  auto* to = static_cast<char*>(send.mutable_data_ptr());
  std::memcpy(to, own.host.data(), std::min(own.host.size(), kHostBytes - 1));
  std::memcpy(to + kHostBytes, own.uuid.data(), std::min(own.uuid.size(), kUuidBytes - 1));
  world.all_gather_uneven(send, Splits(world.size(), kPlaceBytes), recv);
  std::vector<GpuPlace> places;
  const auto* from = static_cast<const char*>(recv.const_data_ptr());
  for (int rank = 0; rank < world.size(); ++rank, from += kPlaceBytes)
    places.push_back({from, from + kHostBytes});
  return places;
}

void check_one_rank_per_gpu(const std::vector<GpuPlace>& places) {
  // By the UUID alone: containers of one machine may call it by different names.
  std::map<std::string, int> rank_of;
  for (int rank = 0; rank < std::ssize(places); ++rank) {
    const auto [first, is_new] = rank_of.emplace(places[rank].uuid, rank);
    if (is_new) continue;
    throw DeviceError("CUDA: ranks " + std::to_string(first->second) + " and " +
                      std::to_string(rank) + " are both on GPU " + place_text(places[rank]) +
                      ", wanted one rank per GPU; start fewer processes there, or show each "
                      "another GPU through CUDA_VISIBLE_DEVICES");
  }
}

}  // namespace cogvx
