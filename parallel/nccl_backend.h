#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "parallel/rendezvous.h"

namespace cogvx {

// What c10d's NCCL backend is told through the environment: no threads that judge or end the
// process by rules of their own, no records, no waits on the host.
std::vector<std::pair<std::string, std::string>> nccl_environment();

// Backends over NCCL on the GPU with this index among the visible ones, from libcogvx_nccl.so in
// `folder`, the CUDA plugin's own. Sets nccl_environment(). Throws DeviceError where the library or
// what it needs is not there; the maker throws DistributedError.
MakeBackend nccl_backends(const std::filesystem::path& folder, int device);

// "2.28.9", of the NCCL that these backends use. Throws DeviceError as nccl_backends does.
std::string nccl_version(const std::filesystem::path& folder);

}  // namespace cogvx
