#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/base/shapes.h"

// How a device calls its libraries so that bytes do not depend on who computes a row or a head. One
// canonical call for each layer is picked at the full size, from Engine and Request alone, and is
// tried at start-up at every size and position that any number of ranks can give it, so that the
// verdict is the same on all of them and on one. Kernels are functions here: nothing knows CUDA.
namespace cogvx {

// What the choosing works with.
struct ProbeTools {
  at::Device device = at::kCPU;
  // Bytes for a kernel's own use; undefined where they are not to be had.
  std::function<at::Tensor(int64_t bytes)> reserve;
  // Throws where ranks hold different values; null for one rank.
  std::function<void(const std::string& what, uint64_t value)> agree{};
};

// A part of the Engine's record; equal on all ranks.
struct Verdict {
  std::string layer;
  std::string kernel;
  std::string way;     // how it is called
  std::string reason;  // why not in the faster way; empty where it is that
  int64_t workspace_bytes = 0;
  int64_t probes = 0;  // calls that the check made
  bool operator==(const Verdict&) const = default;
};
nlohmann::json verdict_to_json(const Verdict& verdict);

// ---- Rows: y_RN = f(x_RK), a matrix multiplication with all that is fused to it.

// The rows of the joint sequence that a layer computes: each rank those of `range` that it owns.
struct RowLayer {
  std::string name;
  int64_t rows = 0;  // of the joint sequence
  RowRange range;
  int64_t in = 0;   // K
  int64_t out = 0;  // N
  at::ScalarType dtype = at::kFloat;
};

struct RowCall {
  const at::Tensor& x_RK;
  const at::Tensor& y_RN;
  const at::Tensor& workspace_B;  // of the kernel's workspace_bytes, always
};

struct RowKernel {
  std::string id;  // the algorithm with everything that fixes it
  int64_t workspace_bytes = 0;
  std::function<void(const RowCall&)> run;
};
// The kernel for calls of so many rows; must not look at the memory that is free.
using PickRowKernel = std::function<RowKernel(int64_t rows)>;

// Rows of a call where whole shards do not pass the check.
constexpr int64_t kChunkRows = 512;

// Every call (global rows) that some rank of some number of ranks makes, apart from repetitions:
// calls that begin at the same place of a block and are as long.
std::vector<RowRange> distinct_calls(int64_t rows, RowRange range);

class ChosenRows {
 public:
  // Rows from global row `first_row` on.
  void run(const at::Tensor& x_RK, int64_t first_row, const at::Tensor& y_RN) const;
  const Verdict& verdict() const { return verdict_; }

 private:
  friend class RowChooser;
  void run_chunk(const at::Tensor& x_RK, int64_t offset, const at::Tensor& y_RN) const;

  Verdict verdict_;
  RowKernel kernel_;
  at::Tensor workspace_B_;
  bool in_chunks_ = false;
};

// The kernel picked at the full row count, for shards as they are; if that does not pass, the one
// picked for 512 rows, always called with 512: chunks are cut at global multiples of 512 and rows
// of other ranks are zeros in it, so that a row has the same place in the same call everywhere. A
// last chunk that is short would be another row count, which is what has just failed. Throws
// MemoryError where the workspace or the check finds no memory, never takes another kernel instead;
// DeviceError where the chunks do not pass either.
ChosenRows choose_rows(const RowLayer& layer, const PickRowKernel& pick, const ProbeTools& tools);

// ---- Heads: out_HNE = attention of qkv_H3NE, whole heads.

struct HeadLayer {
  std::string name;
  int64_t heads = 0;  // all of the model's
  int64_t rows = 0;
  int64_t width = 0;  // E
  at::ScalarType dtype = at::kFloat;
};

struct HeadCall {
  const at::Tensor& qkv_H3NE;
  const at::Tensor& out_HNE;
  const at::Tensor& workspace_B;
};

struct HeadKernel {
  std::string id;
  int64_t workspace_bytes = 0;
  std::function<void(const HeadCall&)> run;  // any number of heads
  // The same kernel with a call for each head, at once; empty: `run` for one head after another.
  std::function<void(const HeadCall&)> run_each{};
};

class ChosenHeads {
 public:
  void run(const at::Tensor& qkv_H3NE, const at::Tensor& out_HNE) const;
  const Verdict& verdict() const { return verdict_; }
  bool all_at_once() const { return all_at_once_; }

 private:
  friend class HeadChooser;

  Verdict verdict_;
  HeadKernel kernel_;
  at::Tensor workspace_B_;
  bool all_at_once_ = false;
};

// One head per call is canonical; all heads of a rank go into one call only where that gives the
// same bytes for every number of heads. Throws as choose_rows does.
ChosenHeads choose_heads(const HeadLayer& layer, const HeadKernel& kernel, const ProbeTools& tools);

}  // namespace cogvx
