// Defects of what ranks send each other of a sequence.
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "parallel/ownership.h"
#include "tests/parallel/defects.h"
#include "tests/parallel/passing_exchanges.h"

namespace cogvx::test {
namespace {

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

}  // namespace

const std::vector<Defect>& exchange_defects() {
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
  };
  return all;
}

}  // namespace cogvx::test
