#include "core/ops/chooser.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "core/base/errors.h"
#include "core/base/random.h"
#include "core/base/short_hash.h"

namespace cogvx {
namespace {

constexpr uint64_t kProbeSeed = 1;

// As bytes: a NaN is equal to itself and a zero to no negative one.
bool same_bytes(const at::Tensor& a, const at::Tensor& b) {
  return at::equal(a.contiguous().view(at::kByte), b.contiguous().view(at::kByte));
}

at::Tensor reserve(const std::string& layer, const std::string& kernel, int64_t bytes,
                   const ProbeTools& tools) {
  at::Tensor workspace = tools.reserve(bytes);
  if (workspace.defined() && workspace.nbytes() == static_cast<size_t>(bytes)) return workspace;
  throw MemoryError(layer + ": the workspace of kernel '" + kernel + "', " + std::to_string(bytes) +
                    " bytes, is not to be had; another kernel would give other bytes: free memory "
                    "of the device, or use --offload");
}

// The check's own tensors are as large as the layer's.
template <typename F>
auto with_memory(const std::string& layer, const F& check) {
  try {
    return check();
  } catch (const c10::OutOfMemoryError&) {
    throw MemoryError(layer +
                      ": no memory for the start-up check of its kernel at full size; free memory "
                      "of the device, or use --offload");
  }
}

// Ranks compare refusals too, so that all of them leave for the same reason.
void conclude(const Verdict& verdict, const std::optional<std::string>& refusal,
              const ProbeTools& tools) {
  const std::string text = verdict_to_json(verdict).dump() + refusal.value_or("");
  if (tools.agree)
    tools.agree("the kernel of " + verdict.layer, short_hash(text.data(), text.size()));
  if (refusal)
    throw DeviceError(verdict.layer + ": kernel '" + verdict.kernel + "' " + *refusal +
                      ", wanted the same bytes from every call; run with --device cpu or another "
                      "--attention, or report this device");
}

std::string layer_text(const RowLayer& layer) {
  return layer.name + " (" + std::to_string(layer.in) + " to " + std::to_string(layer.out) + ", " +
         at::toString(layer.dtype) + ", rows " + std::to_string(layer.range.begin) + " to " +
         std::to_string(layer.range.end) + " of " + std::to_string(layer.rows) + ")";
}

std::string layer_text(const HeadLayer& layer) {
  return layer.name + " (" + std::to_string(layer.heads) + " heads of " +
         std::to_string(layer.width) + ", " + at::toString(layer.dtype) + ", " +
         std::to_string(layer.rows) + " rows)";
}

// Normal values, repeated along the first dim to `count` entries.
at::Tensor probe_values(std::vector<int64_t> shape, at::ScalarType dtype, int64_t count,
                        at::Device device) {
  at::Generator generator = make_generator(kProbeSeed);
  const at::Tensor values = draw_normal(shape, generator, at::kFloat).to(dtype).to(device);
  std::vector<int64_t> repeats(shape.size(), 1);
  repeats[0] = ceil_div(count, shape[0]);
  return values.repeat(repeats).narrow(0, 0, count);
}

std::string call_text(RowRange call) {
  return "a call of " + std::to_string(call.size()) + " rows from row " +
         std::to_string(call.begin);
}

// Of every rank of every number of ranks: they own whole blocks, the first ones one more where they
// do not come out even.
template <typename F>
void for_each_call(int64_t rows, RowRange range, const F& visit) {
  const int64_t blocks = ceil_div(rows, kBlockRows);
  for (int64_t ranks = 1; ranks <= blocks; ++ranks) {
    const int64_t base = blocks / ranks, extra = blocks % ranks;
    for (int64_t rank = 0, block = 0; rank < ranks; ++rank) {
      const int64_t end = block + base + (rank < extra ? 1 : 0);
      const RowRange call =
          intersect({block * kBlockRows, std::min(rows, end * kBlockRows)}, range);
      if (call.size() > 0) visit(call);
      block = end;
    }
  }
}

}  // namespace

nlohmann::json verdict_to_json(const Verdict& verdict) {
  return {{"layer", verdict.layer},   {"kernel", verdict.kernel},
          {"way", verdict.way},       {"reason", verdict.reason},
          {"probes", verdict.probes}, {"workspace_bytes", verdict.workspace_bytes}};
}

std::vector<RowRange> distinct_calls(int64_t rows, RowRange range) {
  std::set<std::pair<int64_t, int64_t>> seen;
  std::vector<RowRange> calls;
  for_each_call(rows, range, [&](RowRange call) {
    if (seen.insert({call.begin % kBlockRows, call.size()}).second) calls.push_back(call);
  });
  return calls;
}

void ChosenRows::run(const at::Tensor& x_RK, int64_t first_row, const at::Tensor& y_RN) const {
  const int64_t rows = x_RK.size(0);
  if (rows == 0) return;
  if (!in_chunks_) return kernel_.run({x_RK, y_RN, workspace_B_});
  for (int64_t at = 0; at < rows;) {
    const int64_t offset = (first_row + at) % kChunkRows;
    const int64_t size = std::min(kChunkRows - offset, rows - at);
    run_chunk(x_RK.narrow(0, at, size), offset, y_RN.narrow(0, at, size));
    at += size;
  }
}

void ChosenRows::run_chunk(const at::Tensor& x_RK, int64_t offset, const at::Tensor& y_RN) const {
  const int64_t size = x_RK.size(0);
  if (size == kChunkRows) return kernel_.run({x_RK, y_RN, workspace_B_});
  const at::Tensor x = at::zeros({kChunkRows, x_RK.size(1)}, x_RK.options());
  const at::Tensor y = at::empty({kChunkRows, y_RN.size(1)}, y_RN.options());
  x.narrow(0, offset, size).copy_(x_RK);
  kernel_.run({x, y, workspace_B_});
  y_RN.copy_(y.narrow(0, offset, size));
}

class RowChooser {
 public:
  RowChooser(const RowLayer& layer, const PickRowKernel& pick, const ProbeTools& tools)
      : layer_(layer), pick_(pick), tools_(tools), calls_(distinct_calls(layer.rows, layer.range)) {
    chosen_.verdict_.layer = layer_text(layer);
    // Row r of the sequence holds values number r % 64, so a call's values depend on nothing but
    // its length and where it begins in a block: one call stands for all that begin there.
    x_ = probe_values({kBlockRows, layer.in}, layer.dtype,
                      std::max(layer.range.size(), kChunkRows) + kBlockRows, tools.device);
  }

  ChosenRows choose() {
    Verdict& verdict = chosen_.verdict_;
    take(pick_(layer_.range.size()), "whole shards");
    std::optional<std::string> refusal = check_whole();
    if (refusal) {
      verdict.reason = "kernel '" + verdict.kernel + "' " + *refusal;
      chosen_.in_chunks_ = true;
      take(pick_(kChunkRows), "chunks of " + std::to_string(kChunkRows) + " rows");
      refusal = check_chunks();
    }
    conclude(verdict, refusal, tools_);
    return std::move(chosen_);
  }

 private:
  void take(RowKernel kernel, const std::string& way) {
    Verdict& verdict = chosen_.verdict_;
    verdict.kernel = kernel.id;
    verdict.way = way;
    verdict.workspace_bytes = kernel.workspace_bytes;
    chosen_.workspace_B_.reset();  // the last one's goes before the next one's comes
    chosen_.workspace_B_ = reserve(verdict.layer, kernel.id, kernel.workspace_bytes, tools_);
    chosen_.kernel_ = std::move(kernel);
  }

  at::Tensor run(RowRange call) {
    const at::Tensor x = x_.narrow(0, call.begin % kBlockRows, call.size());
    const at::Tensor y = at::empty({call.size(), layer_.out}, x.options());
    chosen_.run(x, call.begin, y);
    ++chosen_.verdict_.probes;
    return y;
  }

  // Each returns what is wrong.
  std::optional<std::string> check_whole() {
    const RowRange all = layer_.range;
    at::Tensor wanted;
    {
      const at::Tensor y = run(all);
      if (!same_bytes(run(all), y)) return "gives other bytes the second time";
      const at::Tensor first = y.narrow(0, 0, std::min(all.size(), kBlockRows)).clone();
      wanted = first.repeat({ceil_div(all.size(), first.size(0)) + 1, 1});
      if (!same_bytes(y, wanted.narrow(0, 0, all.size())))
        return "gives a row other bytes at another place of the call";
    }
    for (const RowRange& call : calls_) {
      if (call == all) continue;
      const int64_t offset = (call.begin - all.begin) % kBlockRows;
      if (!same_bytes(run(call), wanted.narrow(0, offset, call.size())))
        return "gives other bytes in " + call_text(call) + " than in one of all " +
               std::to_string(all.size());
    }
    return {};
  }

  std::optional<std::string> check_chunks() {
    const RowRange chunk{0, kChunkRows};
    const at::Tensor wanted = run(chunk);
    if (!same_bytes(run(chunk), wanted)) return "gives other bytes the second time";
    for (const RowRange& part : parts_of_chunks()) {
      if (!same_bytes(run(part), wanted.narrow(0, part.begin, part.size())))
        return "gives rows " + std::to_string(part.begin) + " to " + std::to_string(part.end) +
               " of " + std::to_string(kChunkRows) + " other bytes where the others are zeros";
    }
    return {};
  }

  // The parts of a chunk that a rank may own: those where its rows begin and end, since between
  // them chunks are full.
  std::vector<RowRange> parts_of_chunks() const {
    std::set<std::pair<int64_t, int64_t>> parts;
    for_each_call(layer_.rows, layer_.range, [&](RowRange call) {
      for (int64_t chunk : {call.begin / kChunkRows, (call.end - 1) / kChunkRows}) {
        const int64_t begin = chunk * kChunkRows;
        const RowRange part = intersect(call, {begin, begin + kChunkRows});
        if (part.size() < kChunkRows) parts.insert({part.begin - begin, part.end - begin});
      }
    });
    std::vector<RowRange> ranges;
    for (const auto& [begin, end] : parts) ranges.push_back({begin, end});
    return ranges;
  }

  const RowLayer& layer_;
  const PickRowKernel& pick_;
  const ProbeTools& tools_;
  std::vector<RowRange> calls_;
  at::Tensor x_;
  ChosenRows chosen_;
};

ChosenRows choose_rows(const RowLayer& layer, const PickRowKernel& pick, const ProbeTools& tools) {
  return with_memory(layer_text(layer), [&] { return RowChooser(layer, pick, tools).choose(); });
}

void ChosenHeads::run(const at::Tensor& qkv_H3NE, const at::Tensor& out_HNE) const {
  if (qkv_H3NE.size(0) == 0) return;
  if (all_at_once_) return kernel_.run({qkv_H3NE, out_HNE, workspace_B_});
  if (kernel_.run_each) return kernel_.run_each({qkv_H3NE, out_HNE, workspace_B_});
  for (int64_t head = 0; head < qkv_H3NE.size(0); ++head)
    kernel_.run({qkv_H3NE.narrow(0, head, 1), out_HNE.narrow(0, head, 1), workspace_B_});
}

class HeadChooser {
 public:
  HeadChooser(const HeadLayer& layer, const HeadKernel& kernel, const ProbeTools& tools)
      : layer_(layer), tools_(tools) {
    Verdict& verdict = chosen_.verdict_;
    verdict.layer = layer_text(layer);
    verdict.kernel = kernel.id;
    verdict.workspace_bytes = kernel.workspace_bytes;
    chosen_.kernel_ = kernel;
    chosen_.workspace_B_ = reserve(verdict.layer, kernel.id, kernel.workspace_bytes, tools);
    // Two kinds of heads in turn: a head that reads its neighbour is found.
    qkv_ = probe_values({2, 3, layer.rows, layer.width}, layer.dtype,
                        std::max<int64_t>(2, layer.heads), tools.device);
  }

  ChosenHeads choose() {
    Verdict& verdict = chosen_.verdict_;
    const std::optional<std::string> refusal = check_single();
    if (!refusal) {
      verdict.reason = check_together().value_or("");
      chosen_.all_at_once_ = verdict.reason.empty();
    }
    verdict.way = chosen_.all_at_once_ ? "all heads in one call" : "one head per call";
    conclude(verdict, refusal, tools_);
    return std::move(chosen_);
  }

 private:
  // The last `count` heads of the first `begin + count`, in one call or in calls of their own.
  at::Tensor run(int64_t begin, int64_t count, bool together) {
    const at::Tensor qkv = qkv_.narrow(0, begin, count);
    const at::Tensor out = at::empty({count, layer_.rows, layer_.width}, qkv.options());
    chosen_.all_at_once_ = together;
    chosen_.run(qkv, out);
    chosen_.all_at_once_ = false;
    chosen_.verdict_.probes += together ? 1 : count;
    return out;
  }

  // Every head alone, where it lies among the others.
  std::optional<std::string> check_single() {
    const int64_t heads = qkv_.size(0);
    const at::Tensor first = run(0, 2, false);
    if (!same_bytes(run(0, 2, false), first)) return "gives other bytes the second time";
    wanted_ = first.repeat({ceil_div(heads, 2), 1, 1}).narrow(0, 0, heads);
    if (!same_bytes(run(0, heads, false), wanted_))
      return "gives a head other bytes where it lies elsewhere in memory";
    return {};
  }

  std::optional<std::string> check_together() {
    for (int64_t count = 1; count <= layer_.heads; ++count) {
      if (!same_bytes(run(0, count, true), wanted_.narrow(0, 0, count)))
        return "kernel '" + chosen_.verdict_.kernel + "' gives other bytes to " +
               std::to_string(count) + " heads in one call than to each alone";
    }
    return {};
  }

  const HeadLayer& layer_;
  const ProbeTools& tools_;
  at::Tensor qkv_;
  at::Tensor wanted_;
  ChosenHeads chosen_;
};

ChosenHeads choose_heads(const HeadLayer& layer, const HeadKernel& kernel,
                         const ProbeTools& tools) {
  return with_memory(layer_text(layer), [&] { return HeadChooser(layer, kernel, tools).choose(); });
}

}  // namespace cogvx
