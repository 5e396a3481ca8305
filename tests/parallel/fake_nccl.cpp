// Stands in for libcogvx_nccl.so where there is no GPU.
#include <cstdio>
#include <string>
#include <torch/csrc/distributed/c10d/Backend.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "parallel/cuda/nccl_factory.h"

namespace {

class NamedBackend final : public c10d::Backend {
 public:
  explicit NamedBackend(const CogvxNcclRequest& request)
      : c10d::Backend(request.rank, request.size),
        name_(std::string(request.name) + " on " + std::to_string(request.device)) {}
  const std::string getBackendName() const override { return name_; }

 private:
  std::string name_;
};

}  // namespace

extern "C" void* cogvx_make_nccl_group(const CogvxNcclRequest* request, char* error, size_t size) {
  if (request->abi != kCogvxNcclAbi || std::string(request->name) == "refused") {
    std::snprintf(error, size, "no link\nand a trace");
    return nullptr;
  }
  static_cast<c10d::Store*>(request->store)->set(request->name, "here");
  return static_cast<c10d::Backend*>(c10::make_intrusive<NamedBackend>(*request).release());
}
