// Defects of kernels: right answers on one process, other bytes on several.
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/roll.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "tests/parallel/defects.h"
#include "tests/support/passing_ops.h"

// Shape letters as in core/ops/ops.h; n query rows of a run, m keys of a part.
namespace cogvx::test {
namespace {

// Where a rank's rows do not begin with text, they take positions as if they did.
class ShiftedRotary final : public PassingOps {
 public:
  using PassingOps::PassingOps;
  void prepare_qkv(const at::Tensor& qkv, const QkPreparation& preparation, RowSplit split,
                   at::Tensor& out) override {
    QkPreparation shifted = preparation;
    if (split.first_row > 0) {
      shifted.cos = at::roll(preparation.cos, split.text_rows, 0);
      shifted.sin = at::roll(preparation.sin, split.text_rows, 0);
    }
    inner_.prepare_qkv(qkv, shifted, split, out);
  }
};

at::Tensor activated(const at::Tensor& x, Activation activation) {
  if (activation == Activation::kSilu) return at::silu(x);
  return activation == Activation::kGeluTanh ? at::gelu(x, "tanh") : x;
}

// Keeps what layers are packed from, for kernels that cut it otherwise.
class WithRawWeights : public PassingOps {
 public:
  using PassingOps::PassingOps;
  LinearWeights pack_linear(const at::Tensor& weight_NK, const at::Tensor& bias_N) override {
    LinearWeights packed = inner_.pack_linear(weight_NK, bias_N);
    raw_[packed.packed.data_ptr()] = {weight_NK.clone(),
                                      bias_N.defined() ? bias_N.clone() : bias_N};
    return packed;
  }

 protected:
  struct Raw {
    at::Tensor weight_NK;
    at::Tensor bias_N;  // undefined for none
  };
  const Raw& raw(const LinearWeights& weights) const { return raw_.at(weights.packed.data_ptr()); }

 private:
  std::map<void*, Raw> raw_;
};

// One process runs both branches as one batch through libtorch's linear layer, two run one each.
class BatchedBranches final : public WithRawWeights {
 public:
  BatchedBranches(Ops& inner, int64_t batch) : WithRawWeights(inner), batch_(batch) {}
  at::Tensor linear(const at::Tensor& x, const LinearWeights& weights,
                    const LinearCall& call) override {
    const auto& [weight, bias] = raw(weights);
    const at::Tensor batch = at::cat(std::vector<at::Tensor>(batch_, x));
    const at::Tensor y =
        bias.defined() ? at::linear(batch, weight, bias) : at::linear(batch, weight);
    return activated(y.narrow(0, 0, x.size(0)).contiguous(), call.activation);
  }

 private:
  int64_t batch_;
};

// A linear layer whose sums over K are cut into parts, for more threads to have work (split-K).
class SumsInParts final : public WithRawWeights {
 public:
  // How many parts for a call of so many rows.
  using Parts = std::function<int64_t(int64_t rows)>;
  SumsInParts(Ops& inner, Parts parts) : WithRawWeights(inner), parts_(std::move(parts)) {}

  at::Tensor linear(const at::Tensor& x_RK, const LinearWeights& weights,
                    const LinearCall& call) override {
    const auto& [weight_NK, bias_N] = raw(weights);
    const int64_t step = ceil_div(weights.in, 2 * parts_(x_RK.size(0))) * 2;
    at::Tensor y_RN;
    for (int64_t k = 0; k < weights.in; k += step) {
      const int64_t width = std::min(step, weights.in - k);
      const LinearWeights part =
          inner_.pack_linear(weight_NK.narrow(1, k, width), k == 0 ? bias_N : at::Tensor());
      const at::Tensor sum_RN =
          inner_.linear(x_RK.narrow(1, k, width), part, {.first_row = call.first_row});
      y_RN = k == 0 ? sum_RN : y_RN + sum_RN;
    }
    return activated(y_RN, call.activation);
  }
  void add_linear(at::Tensor& x_RD, const at::Tensor& y_RK, const LinearWeights& weights,
                  const GatedLinearCall& call) override {
    inner_.gated_add(x_RD, linear(y_RK, weights, call.linear), call.gate, call.split);
  }

 private:
  Parts parts_;
};

// A run at a time: attend(q_nE, head_3NE) -> out_nE.
void attend_runs(const at::Tensor& qkv_H3NE, std::span<const AttentionRun> runs,
                 at::Tensor& out_HNE,
                 const std::function<at::Tensor(const at::Tensor&, const at::Tensor&)>& attend) {
  for (const AttentionRun& run : runs) {
    const int64_t begin = run.tile_begin * kBlockRows;
    const int64_t count = std::min(qkv_H3NE.size(2), run.tile_end * kBlockRows) - begin;
    const at::Tensor head_3NE = qkv_H3NE[run.head];
    out_HNE[run.head]
        .narrow(0, begin, count)
        .copy_(attend(head_3NE[0].narrow(0, begin, count), head_3NE));
  }
}

// Attention whose keys are cut into parts that are merged at the end (split-KV), the more the fewer
// heads the call has.
class KeysInPartsByHeads final : public PassingOps {
 public:
  using PassingOps::PassingOps;
  void attention(const at::Tensor& qkv_H3NE, std::span<const AttentionRun> runs,
                 at::Tensor& out_HNE) override {
    const int64_t parts = std::max<int64_t>(1, kPartsOfAll / qkv_H3NE.size(0));
    const int64_t step = ceil_div(qkv_H3NE.size(2), parts);
    attend_runs(qkv_H3NE, runs, out_HNE, [&](const at::Tensor& q_nE, const at::Tensor& head_3NE) {
      return attend(q_nE, head_3NE, step);
    });
  }

 private:
  static constexpr int64_t kPartsOfAll = 6;

  static at::Tensor attend(const at::Tensor& q_nE, const at::Tensor& head_3NE, int64_t step) {
    const int64_t rows = head_3NE.size(1);
    at::Tensor maximum_n1, sum_n1, gathered_nE;
    for (int64_t key = 0; key < rows; key += step) {
      const at::Tensor part_3mE = head_3NE.narrow(1, key, std::min(step, rows - key));
      const at::Tensor scores_nm =
          at::matmul(q_nE, part_3mE[1].t()) / std::sqrt(static_cast<double>(q_nE.size(1)));
      const at::Tensor own_n1 = scores_nm.amax(1, /*keepdim=*/true);
      const at::Tensor highest_n1 = key == 0 ? own_n1 : at::maximum(maximum_n1, own_n1);
      const at::Tensor weights_nm = (scores_nm - highest_n1).exp();
      const at::Tensor part_n1 = weights_nm.sum(1, /*keepdim=*/true);
      const at::Tensor part_nE = at::matmul(weights_nm, part_3mE[2]);
      const at::Tensor shrink_n1 = key == 0 ? at::Tensor() : (maximum_n1 - highest_n1).exp();
      sum_n1 = key == 0 ? part_n1 : sum_n1 * shrink_n1 + part_n1;
      gathered_nE = key == 0 ? part_nE : gathered_nE * shrink_n1 + part_nE;
      maximum_n1 = highest_n1;
    }
    return gathered_nE / sum_n1;
  }
};

// libtorch's GELU, cut into as many pieces as ATen has threads.
class AtensThreads final : public PassingOps {
 public:
  AtensThreads(Ops& inner, int threads) : PassingOps(inner), threads_(threads) {}
  at::Tensor linear(const at::Tensor& x, const LinearWeights& weights,
                    const LinearCall& call) override {
    if (call.activation != Activation::kGeluTanh) return inner_.linear(x, weights, call);
    const at::Tensor y = inner_.linear(x, weights, {.first_row = call.first_row});
    at::set_num_threads(threads_);
    at::Tensor result = at::gelu(y, "tanh");
    at::set_num_threads(1);
    return result;
  }

 private:
  int threads_;
};

// Another attention kernel than rank 0's, as where each rank times kernels and picks the fastest.
class OtherKernel final : public PassingOps {
 public:
  using PassingOps::PassingOps;
  void attention(const at::Tensor& qkv_H3NE, std::span<const AttentionRun> runs,
                 at::Tensor& out_HNE) override {
    attend_runs(qkv_H3NE, runs, out_HNE, [](const at::Tensor& q_nE, const at::Tensor& head_3NE) {
      const at::Tensor scores_nN =
          at::matmul(q_nE, head_3NE[1].t()) / std::sqrt(static_cast<double>(q_nE.size(1)));
      return at::matmul(at::softmax(scores_nN, 1), head_3NE[2]);
    });
  }
};

// Rows that fill the machine; with fewer, each sum over K is cut.
constexpr int64_t kRowsThatFill = 512;

}  // namespace

const std::vector<Defect>& op_defects() {
  static const std::vector<Defect> all = {
      {"rotary positions shifted by the text length per chunk", "tiny-5b", 1, 2,
       "step 1, branch without the prompt, layer 1, rows 0-63",
       [](ProcessParts& p) { p.ops = std::make_unique<ShiftedRotary>(keep(p, p.ops)); }},
      {"both branches in one batch through a stock op", "tiny-2b", 2, 1,
       "step 1, branch without the prompt, ",
       [](ProcessParts& p) {
         p.ops = std::make_unique<BatchedBranches>(keep(p, p.ops), 3 - p.groups.mesh.cp);
       }},
      {"ops with ATen's own threads", "tiny-30x16", 2, 1,
       "step 1, branch without the prompt, layer 1",
       [](ProcessParts& p) {
         p.ops = std::make_unique<AtensThreads>(keep(p, p.ops), p.groups.mesh.cp == 1 ? 7 : 3);
       }},
      {"a linear layer whose sums are cut by the row count", "tiny-2b", 1, 2,
       "step 1, branch without the prompt, embedding, rows 192-255",
       [](ProcessParts& p) {
         p.ops = std::make_unique<SumsInParts>(keep(p, p.ops), [](int64_t rows) {
           return std::clamp<int64_t>(kRowsThatFill / rows, 1, 4);
         });
       }},
      {"a linear layer whose sums are cut by the thread count", "tiny-2b", 2, 1,
       "step 1, branch without the prompt, embedding, rows 0-63",
       [](ProcessParts& p) {
         p.ops = std::make_unique<SumsInParts>(keep(p, p.ops),
                                               [threads = p.threads](int64_t) { return threads; });
       }},
      {"attention whose keys are cut by the head count", "tiny-2b", 1, 2,
       "step 1, branch without the prompt, layer 1, rows 0-63",
       [](ProcessParts& p) { p.ops = std::make_unique<KeysInPartsByHeads>(keep(p, p.ops)); }},
      {"a kernel chosen by rank", "tiny-2b", 1, 2,
       "step 1, branch without the prompt, layer 1, rows 0-63",
       [](ProcessParts& p) {
         if (p.groups.mesh.rank > 0) p.ops = std::make_unique<OtherKernel>(keep(p, p.ops));
       }},
  };
  return all;
}

}  // namespace cogvx::test
