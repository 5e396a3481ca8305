#include "core/ops/cpu/linear.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "core/ops/cpu/by_type.h"
#include "core/ops/cpu/packing.h"

namespace cogvx::cpu {
namespace {

constexpr int64_t kTileColumns = 64;
// Row blocks that share one packed weight tile while it is in the cache; grouping does not change a
// unit.
constexpr int64_t kBlocksPerTask = 8;

// Blocks as their rows within the call.
std::vector<RowRange> row_blocks(int64_t first_row, int64_t rows) {
  std::vector<RowRange> blocks;
  for (int64_t at = 0; at < rows;) {
    const int64_t end = std::min(rows, at + kBlockRows - (first_row + at) % kBlockRows);
    blocks.push_back({at, end});
    at = end;
  }
  return blocks;
}

template <typename T>
class Linear {
 public:
  Linear(const Kernels& kernels, const at::Tensor& x_RK, const LinearWeights& w,
         const LinearCall& call, const GatedLinearCall* sum, at::Tensor& y_RN)
      : kernels_(kernels),
        weights_(w),
        call_(call),
        sum_(sum),
        x_(data<T>(x_RK)),
        ldx_(x_RK.stride(0)),
        packed_(data<T>(w.packed)),
        bias_(data<float>(w.bias)),
        y_(mutable_data<T>(y_RN)),
        ldy_(y_RN.stride(0)),
        blocks_(row_blocks(call.first_row, x_RK.size(0))) {}

  void run(ThreadPool& pool) const {
    const int64_t tiles = ceil_div(weights_.out, kTileColumns);
    const int64_t groups = ceil_div(std::ssize(blocks_), kBlocksPerTask);
    pool.run(tiles * groups, [&](int64_t task) {
      const int64_t first = task / tiles * kBlocksPerTask;
      const int64_t last = std::min<int64_t>(first + kBlocksPerTask, std::ssize(blocks_));
      for (int64_t i = first; i < last; ++i) compute(blocks_[i], task % tiles * kTileColumns);
    });
  }

 private:
  void compute(RowRange block, int64_t column) const {
    const int64_t columns = std::min(kTileColumns, weights_.out - column);
    const int64_t padded = padded_columns(columns);
    std::array<const T*, kBlockRows> rows;
    for (int64_t i = 0; i < block.size(); ++i) rows[i] = x_ + (block.begin + i) * ldx_;
    alignas(64) std::array<float, kBlockRows * kTileColumns> c;
    kernels_.gemm(GemmCall<T>{.a_rows = rows.data(),
                              .a_offset = 0,
                              .b = packed_ + column * weights_.in,
                              .ldb = padded,
                              .c = c.data(),
                              .ldc = kTileColumns,
                              .m = block.size(),
                              .n = padded,
                              .k = weights_.in,
                              .add = false});
    for (const auto& [part, gate] : parts_of(block)) {
      if (part.size() == 0) continue;
      kernels_.finish(FinishCall<T>{.c = c.data() + (part.begin - block.begin) * kTileColumns,
                                    .ldc = kTileColumns,
                                    .bias = bias_ == nullptr ? nullptr : bias_ + column,
                                    .gate = gate == nullptr ? nullptr : gate + column,
                                    .activation = call_.activation,
                                    .rows = part.size(),
                                    .columns = columns,
                                    .y = y_ + part.begin * ldy_ + column,
                                    .ldy = ldy_});
    }
  }

  struct Part {
    RowRange rows;
    const T* gate;
  };
  // Text rows and video rows have gates of their own.
  std::array<Part, 2> parts_of(RowRange block) const {
    if (sum_ == nullptr) return {Part{block, nullptr}, Part{{block.end, block.end}, nullptr}};
    const int64_t text =
        std::clamp(sum_->split.text_rows - sum_->split.first_row, block.begin, block.end);
    return {Part{{block.begin, text}, data<T>(sum_->gate.text)},
            Part{{text, block.end}, data<T>(sum_->gate.video)}};
  }

  const Kernels& kernels_;
  const LinearWeights& weights_;
  const LinearCall& call_;
  const GatedLinearCall* sum_;
  const T* x_;
  int64_t ldx_;
  const T* packed_;
  const float* bias_;
  T* y_;
  int64_t ldy_;
  std::vector<RowRange> blocks_;
};

void run_linear(const Workers& workers, const at::Tensor& x_RK, const LinearWeights& w,
                const LinearCall& call, const GatedLinearCall* sum, at::Tensor& y_RN) {
  if (x_RK.dim() != 2 || x_RK.size(1) != w.in || x_RK.scalar_type() != w.dtype) {
    throw std::logic_error("linear: x is " + shape_text(x_RK.sizes()) + ", weights want [R," +
                           std::to_string(w.in) + "]");
  }
  const at::Tensor x = x_RK.stride(1) == 1 ? x_RK : x_RK.contiguous();
  by_type(w.dtype, [&](auto type) {
    Linear<decltype(type)>(workers.kernels, x, w, call, sum, y_RN).run(workers.pool);
  });
}

template <typename T>
void pack_tiles(ThreadPool& pool, const at::Tensor& weight_NK, at::Tensor& packed) {
  const int64_t n = weight_NK.size(0);
  const int64_t k = weight_NK.size(1);
  pool.run(ceil_div(n, kTileColumns), [&](int64_t tile) {
    const int64_t column = tile * kTileColumns;
    pack_transposed(data<T>(weight_NK) + column * k, k, std::min(kTileColumns, n - column), k,
                    mutable_data<T>(packed) + column * k);
  });
}

}  // namespace

LinearWeights pack_linear(ThreadPool& pool, const at::Tensor& weight_NK, const at::Tensor& bias_N) {
  const at::ScalarType dtype = weight_NK.scalar_type();
  if (dtype != at::kFloat && dtype != at::kBFloat16)
    throw std::logic_error("linear weights must be fp32 or bf16");
  if (weight_NK.size(1) % 2 != 0)
    throw std::logic_error("a linear layer needs an even number of inputs");
  LinearWeights w{.in = weight_NK.size(1), .out = weight_NK.size(0), .dtype = dtype};
  w.packed = at::empty({packed_size(w.in, w.out)}, weight_NK.options());
  const at::Tensor plain = weight_NK.contiguous();
  by_type(dtype, [&](auto type) { pack_tiles<decltype(type)>(pool, plain, w.packed); });
  if (bias_N.defined()) w.bias = bias_N.to(at::kFloat).contiguous();
  return w;
}

at::Tensor linear(const Workers& workers, const at::Tensor& x_RK, const LinearWeights& w,
                  const LinearCall& call) {
  at::Tensor y_RN = at::empty({x_RK.size(0), w.out}, x_RK.options());
  run_linear(workers, x_RK, w, call, /*sum=*/nullptr, y_RN);
  return y_RN;
}

void add_linear(const Workers& workers, at::Tensor& x_RD, const at::Tensor& y_RK,
                const LinearWeights& w, const GatedLinearCall& call) {
  if (x_RD.stride(1) != 1 || x_RD.scalar_type() != w.dtype || x_RD.size(1) != w.out)
    throw std::logic_error("linear: what it is added to is " + shape_text(x_RD.sizes()) +
                           ", weights give [R," + std::to_string(w.out) + "]");
  run_linear(workers, y_RK, w, call.linear, &call, x_RD);
}

}  // namespace cogvx::cpu
