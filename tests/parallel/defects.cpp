#include "tests/parallel/defects.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/roll.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <ostream>

#include "core/base/random.h"
#include "parallel/ownership.h"
#include "tests/parallel/passing_exchanges.h"
#include "tests/support/passing_ops.h"

namespace cogvx::test {
namespace {

constexpr uint64_t kSeed = 5;
constexpr size_t kLatentDims = 4;
// Leading extents that tell what is made once: samples of a posterior, and its moments.
constexpr int64_t kSampleChannels = 16, kMomentChannels = 32;

// The defect cogvx was born from: every rank brings the text along, so each text key is there once
// per rank.
class ReplicatedText final : public PassingExchange {
 public:
  ReplicatedText(SequenceExchange& inner, int64_t text_rows, int copies)
      : PassingExchange(inner), text_rows_(text_rows), copies_(copies) {}

  void begin_sequence(const SequenceShape& shape) override {
    rows_ = shape.rows;
    inner_.begin_sequence(shape);
  }
  at::Tensor finish_to_heads(int group) override {
    const at::Tensor qkv_h3NE = inner_.finish_to_heads(group);
    std::vector<at::Tensor> parts = {qkv_h3NE};
    for (int copy = 1; copy < copies_; ++copy) parts.push_back(qkv_h3NE.narrow(2, 0, text_rows_));
    const at::Tensor longer = at::cat(parts, 2);
    out_hNE_ = at::empty({longer.size(0), longer.size(2), longer.size(3)}, longer.options());
    return longer;
  }
  at::Tensor attention_output(int) override { return out_hNE_; }
  void begin_to_rows(int group) override {
    inner_.attention_output(group).copy_(out_hNE_.narrow(1, 0, rows_));
    inner_.begin_to_rows(group);
  }

 private:
  int64_t text_rows_;
  int copies_;
  int64_t rows_ = 0;
  at::Tensor out_hNE_;
};

// K and v of a head that ranks share reach its first owner alone.
class SharedHeadSentOnce final : public PassingExchange {
 public:
  using PassingExchange::PassingExchange;
  at::Tensor finish_to_heads(int group) override {
    const at::Tensor qkv_h3NE = inner_.finish_to_heads(group);
    for (const AttentionRun& run : inner_.runs(group)) {
      if (run.tile_begin > 0) qkv_h3NE[run.head].narrow(0, 1, 2).zero_();
    }
    return qkv_h3NE;
  }
};

// Shares are padded to one length, and the padding is cut from the end of all instead of from each.
class PaddedGather final : public PassingExchange {
 public:
  PaddedGather(SequenceExchange& inner, Group& group) : PassingExchange(inner), group_(group) {}

  void begin_sequence(const SequenceShape& shape) override {
    rows_of_ = deal_rows(shape.rows, group_.size());
    inner_.begin_sequence(shape);
  }
  at::Tensor gather_rows(const at::Tensor& x_rC, RowRange range) override {
    int64_t most = 0;
    for (const RowRange& owned : rows_of_) most = std::max(most, intersect(owned, range).size());
    const at::Tensor padded = at::zeros({most, x_rC.size(1)}, x_rC.options());
    padded.narrow(0, 0, x_rC.size(0)).copy_(x_rC);
    const at::Tensor all = at::empty({most * group_.size(), x_rC.size(1)}, x_rC.options());
    group_.all_gather_uneven(padded.flatten().view(at::kByte),
                             Splits(group_.size(), static_cast<int64_t>(padded.nbytes())),
                             all.flatten().view(at::kByte));
    return all.narrow(0, 0, range.size());
  }

 private:
  Group& group_;
  std::vector<RowRange> rows_of_;
};

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

class SeedPerRank final : public PassingWork {
 public:
  SeedPerRank(WorkExchange& inner, int rank)
      : PassingWork(inner), generator_(make_generator(kSeed + rank)) {}
  at::Tensor made_once(const TensorShape& shape, const std::function<at::Tensor()>& make) override {
    if (shape.sizes.size() != kLatentDims) return inner_.made_once(shape, make);
    return draw_normal(shape.sizes, generator_, shape.dtype);
  }

 private:
  at::Generator generator_;
};

// Every rank samples the posterior of what it encoded.
class PosteriorPerRank final : public PassingWork {
 public:
  PosteriorPerRank(WorkExchange& inner, int rank)
      : PassingWork(inner), generator_(make_generator(kSeed + rank)) {}
  at::Tensor made_once(const TensorShape& shape, const std::function<at::Tensor()>& make) override {
    if (shape.sizes[0] != kSampleChannels) return inner_.made_once(shape, make);
    return draw_normal(shape.sizes, generator_, shape.dtype);
  }

 private:
  at::Generator generator_;
};

// The condition stays where its tiles came together; the others have none.
class ConditionOfRank0 final : public PassingWork {
 public:
  ConditionOfRank0(WorkExchange& inner, int rank) : PassingWork(inner), rank_(rank) {}
  at::Tensor made_once(const TensorShape& shape, const std::function<at::Tensor()>& make) override {
    const at::Tensor made = inner_.made_once(shape, make);
    const bool lost = rank_ > 0 && shape.sizes[0] == kMomentChannels;
    return lost ? at::zeros(made.sizes(), made.options()) : made;
  }

 private:
  int rank_;
};

// Each rank draws its latent frames with the right seed, but in the shape of its slice.
class NoiseInSlices final : public PassingWork {
 public:
  NoiseInSlices(WorkExchange& inner, int slices) : PassingWork(inner), slices_(slices) {}
  at::Tensor made_once(const TensorShape& shape, const std::function<at::Tensor()>& make) override {
    if (shape.sizes.size() != kLatentDims) return inner_.made_once(shape, make);
    std::vector<at::Tensor> parts;
    for (int slice = 0; slice < slices_; ++slice) {
      std::vector<int64_t> sizes = shape.sizes;
      sizes[0] = shape.sizes[0] * (slice + 1) / slices_ - shape.sizes[0] * slice / slices_;
      at::Generator generator = make_generator(kSeed);
      parts.push_back(draw_normal(sizes, generator, shape.dtype));
    }
    return at::cat(parts);
  }

 private:
  int slices_;
};

at::Tensor activated(const at::Tensor& x, Activation activation) {
  if (activation == Activation::kSilu) return at::silu(x);
  return activation == Activation::kGeluTanh ? at::gelu(x, "tanh") : x;
}

// One process runs both branches as one batch through libtorch's linear layer, two run one each.
class BatchedBranches final : public PassingOps {
 public:
  BatchedBranches(Ops& inner, int64_t batch) : PassingOps(inner), batch_(batch) {}
  LinearWeights pack_linear(const at::Tensor& weight, const at::Tensor& bias) override {
    LinearWeights packed = inner_.pack_linear(weight, bias);
    raw_[packed.packed.data_ptr()] = {weight.clone(), bias.defined() ? bias.clone() : bias};
    return packed;
  }
  at::Tensor linear(const at::Tensor& x, const LinearWeights& weights,
                    const LinearCall& call) override {
    const auto& [weight, bias] = raw_.at(weights.packed.data_ptr());
    const at::Tensor batch = at::cat(std::vector<at::Tensor>(batch_, x));
    const at::Tensor y =
        bias.defined() ? at::linear(batch, weight, bias) : at::linear(batch, weight);
    return activated(y.narrow(0, 0, x.size(0)).contiguous(), call.activation);
  }

 private:
  int64_t batch_;
  std::map<void*, std::pair<at::Tensor, at::Tensor>> raw_;
};

// Blends tiles as they arrive: each rank's first one before any second, and of those the last
// first.
class TilesAsTheyArrive final : public PassingWork {
 public:
  struct Arrivals {
    std::mutex mutex;
    std::vector<std::pair<int64_t, int64_t>> order;  // the owner's how-manieth, minus the tile
  };
  TilesAsTheyArrive(WorkExchange& inner, std::shared_ptr<Arrivals> arrivals)
      : PassingWork(inner), arrivals_(std::move(arrivals)) {}

  std::vector<at::Tensor> run_tiles(std::span<const TileJob> jobs,
                                    const std::function<at::Tensor(int64_t)>& decode) override {
    int64_t done = 0;
    std::vector<at::Tensor> tiles = inner_.run_tiles(jobs, [&](int64_t i) {
      {
        const std::lock_guard lock(arrivals_->mutex);
        arrivals_->order.emplace_back(done++, -i);
      }
      return decode(i);
    });
    if (tiles.empty()) return tiles;
    // A place takes the next one of its size.
    std::sort(arrivals_->order.begin(), arrivals_->order.end());
    std::vector<at::Tensor> arrived;
    for (const auto& [turn, tile] : arrivals_->order) arrived.push_back(tiles[-tile]);
    arrivals_->order.clear();
    std::vector<at::Tensor> placed;
    for (const at::Tensor& place : tiles) {
      const auto next = std::find_if(arrived.begin(), arrived.end(), [&](const at::Tensor& tile) {
        return tile.sizes() == place.sizes();
      });
      placed.push_back(*next);
      arrived.erase(next);
    }
    return placed;
  }

 private:
  std::shared_ptr<Arrivals> arrivals_;
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
    const int64_t rows = qkv_H3NE.size(2);
    for (const AttentionRun& run : runs) {
      const int64_t begin = run.tile_begin * kBlockRows;
      const int64_t end = std::min(rows, run.tile_end * kBlockRows);
      const at::Tensor head = qkv_H3NE[run.head];
      const at::Tensor scores = at::matmul(head[0].narrow(0, begin, end - begin), head[1].t()) /
                                std::sqrt(static_cast<double>(head.size(2)));
      out_HNE[run.head]
          .narrow(0, begin, end - begin)
          .copy_(at::matmul(at::softmax(scores, 1), head[2]));
    }
  }
};

template <typename T>
T& keep(ProcessParts& parts, std::unique_ptr<T>& part) {
  std::shared_ptr<T> kept = std::move(part);
  parts.kept.push_back(kept);
  return *kept;
}

void plant_arrivals(ProcessParts& p) {
  static auto arrivals = std::make_shared<TilesAsTheyArrive::Arrivals>();
  if (p.groups.mesh.rank == 0) arrivals = std::make_shared<TilesAsTheyArrive::Arrivals>();
  p.groups.world.barrier();
  p.work = std::make_unique<TilesAsTheyArrive>(keep(p, p.work), arrivals);
}

}  // namespace

void PrintTo(const Defect& defect, std::ostream* out) { *out << defect.name; }

const std::vector<Defect>& defects() {
  static const std::vector<Defect> all = {
      {"text rows replicated on every rank", "tiny-2b", 1, 2,
       "step 1, branch without the prompt, layer 1, rows 0-63",
       [](ProcessParts& p) {
         p.exchange =
             std::make_unique<ReplicatedText>(keep(p, p.exchange), p.text_rows, p.groups.mesh.sp);
       }},
      {"padding dropped before un-interleaving", "tiny-2b", 1, 2,
       "step 1, branch without the prompt, prediction",
       [](ProcessParts& p) {
         p.exchange = std::make_unique<PaddedGather>(keep(p, p.exchange), p.groups.sequence);
       }},
      {"a shared head's keys and values sent once", "tiny-2b", 1, 4,
       "step 1, branch without the prompt, layer 1, rows 128-191",
       [](ProcessParts& p) {
         p.exchange = std::make_unique<SharedHeadSentOnce>(keep(p, p.exchange));
       }},
      {"rotary positions shifted by the text length per chunk", "tiny-5b", 1, 2,
       "step 1, branch without the prompt, layer 1, rows 0-63",
       [](ProcessParts& p) { p.ops = std::make_unique<ShiftedRotary>(keep(p, p.ops)); }},
      {"a seed for every rank", "tiny-5b", 1, 2, "latents before the first step",
       [](ProcessParts& p) {
         p.work = std::make_unique<SeedPerRank>(keep(p, p.work), p.groups.mesh.rank);
       }},
      {"noise in the shape of a rank's slice", "tiny-2b", 1, 2, "latents before the first step",
       [](ProcessParts& p) {
         p.work = std::make_unique<NoiseInSlices>(keep(p, p.work), p.groups.mesh.sp);
       }},
      {"both branches in one batch through a stock op", "tiny-2b", 2, 1,
       "step 1, branch without the prompt, ",
       [](ProcessParts& p) {
         p.ops = std::make_unique<BatchedBranches>(keep(p, p.ops), 3 - p.groups.mesh.cp);
       }},
      {"tiles blended as they arrive", "tiny-2b", 1, 3, "frame 0", plant_arrivals},
      {"ops with ATen's own threads", "tiny-30x16", 2, 1,
       "step 1, branch without the prompt, layer 1",
       [](ProcessParts& p) {
         p.ops = std::make_unique<AtensThreads>(keep(p, p.ops), p.groups.mesh.cp == 1 ? 7 : 3);
       }},
      {"a kernel chosen by rank", "tiny-2b", 1, 2,
       "step 1, branch without the prompt, layer 1, rows 0-63",
       [](ProcessParts& p) {
         if (p.groups.mesh.rank > 0) p.ops = std::make_unique<OtherKernel>(keep(p, p.ops));
       }},
      {"a posterior sampled by each rank", "tiny-1.5", 1, 2, "latents before the first step",
       [](ProcessParts& p) {
         p.work = std::make_unique<PosteriorPerRank>(keep(p, p.work), p.groups.mesh.rank);
       },
       "v2v.ddim"},
      {"a condition on rank 0 only", "tiny-5b-i2v", 2, 1, "moments of the encoder",
       [](ProcessParts& p) {
         p.work = std::make_unique<ConditionOfRank0>(keep(p, p.work), p.groups.mesh.rank);
       },
       "i2v.dpm_other_frames"},
      {"encoded tiles blended as they arrive", "tiny-5b-i2v", 1, 3, "moments of the encoder",
       plant_arrivals, "i2v.dpm_other_frames"},
  };
  return all;
}

}  // namespace cogvx::test
