#include "core/ops/cpu/attention.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <stdexcept>
#include <vector>

#include "core/ops/cpu/by_type.h"
#include "core/ops/cpu/packing.h"

namespace cogvx::cpu {
namespace {

constexpr int64_t kKeyTile = 256;
// Heads are packed a few at a time: enough tiles to feed the threads, little memory.
constexpr int64_t kTilesPerRound = 64;

template <typename T>
class Attention {
 public:
  Attention(const Kernels& kernels, const at::Tensor& qkv_H3NE, at::Tensor& out_HNE)
      : kernels_(kernels),
        rows_(qkv_H3NE.size(2)),
        width_(qkv_H3NE.size(3)),
        key_tiles_(ceil_div(rows_, kKeyTile)),
        scale_(static_cast<float>(1.0 / std::sqrt(static_cast<double>(width_)))),
        qkv_(qkv_H3NE),
        out_(out_HNE) {}

  void run(ThreadPool& pool, std::span<const AttentionRun> runs) {
    for (size_t i = 0; i < runs.size();) {
      std::map<int64_t, int64_t> slot_of_head;
      std::vector<Unit> units;
      for (; i < runs.size() && static_cast<int64_t>(units.size()) < kTilesPerRound; ++i) {
        const int64_t slot =
            slot_of_head.try_emplace(runs[i].head, slot_of_head.size()).first->second;
        for (int64_t tile = runs[i].tile_begin; tile < runs[i].tile_end; ++tile) {
          units.push_back(make_unit(runs[i].head, slot, tile * kBlockRows));
        }
      }
      pack_heads(pool, slot_of_head);
      pool.run(static_cast<int64_t>(units.size()), [&](int64_t u) { compute(units[u]); });
    }
  }

 private:
  struct Unit {
    int64_t head;  // index within the round
    const T* q;
    T* out;
    int64_t rows;
  };

  Unit make_unit(int64_t head, int64_t slot, int64_t row) const {
    const auto* q = data<T>(qkv_) + head * qkv_.stride(0) + row * qkv_.stride(2);
    auto* out = mutable_data<T>(out_) + head * out_.stride(0) + row * out_.stride(1);
    return {slot, q, out, std::min(kBlockRows, rows_ - row)};
  }

  int64_t tile_size() const { return kKeyTile * padded_columns(width_); }

  void pack_heads(ThreadPool& pool, const std::map<int64_t, int64_t>& slot_of_head) {
    std::vector<int64_t> heads(slot_of_head.size());
    for (const auto& [head, slot] : slot_of_head) heads[slot] = head;
    keys_.resize(heads.size() * key_tiles_ * tile_size());
    values_.resize(keys_.size());
    pool.run(static_cast<int64_t>(heads.size()) * key_tiles_, [&](int64_t u) {
      const int64_t begin = u % key_tiles_ * kKeyTile;
      const int64_t count = std::min(kKeyTile, rows_ - begin);
      const auto* head = data<T>(qkv_) + heads[u / key_tiles_] * qkv_.stride(0);
      const T* k = head + qkv_.stride(1) + begin * qkv_.stride(2);
      const T* v = head + 2 * qkv_.stride(1) + begin * qkv_.stride(2);
      pack_transposed(k, qkv_.stride(2), count, width_, keys_.data() + u * tile_size());
      pack_rows(v, qkv_.stride(2), count, width_, values_.data() + u * tile_size());
    });
  }

  // What a thread needs for one query tile.
  struct Scratch {
    std::vector<float> scores = std::vector<float>(kBlockRows * kKeyTile);
    std::vector<T> probabilities = std::vector<T>(kBlockRows * kKeyTile);
    std::vector<float> gathered;
    std::array<float, kBlockRows> maximum;
    std::array<float, kBlockRows> sum;
    std::array<const T*, kBlockRows> q_rows;
    std::array<const T*, kBlockRows> p_rows;
  };

  void compute(const Unit& unit) {
    thread_local Scratch scratch;
    const int64_t width = padded_columns(width_);
    scratch.gathered.assign(kBlockRows * width, 0.0f);
    scratch.maximum.fill(-std::numeric_limits<float>::infinity());
    scratch.sum.fill(0.0f);
    for (int64_t r = 0; r < kBlockRows; ++r) {
      scratch.q_rows[r] = unit.q + std::min(r, unit.rows - 1) * qkv_.stride(2);
      scratch.p_rows[r] = scratch.probabilities.data() + r * kKeyTile;
    }
    for (int64_t tile = 0; tile < key_tiles_; ++tile) attend(unit, tile, scratch);
    for (int64_t r = 0; r < unit.rows; ++r) {
      T* out = unit.out + r * out_.stride(1);
      const float* gathered = scratch.gathered.data() + r * width;
      const float share = 1.0f / scratch.sum[r];
      for (int64_t e = 0; e < width_; ++e) store(out[e], gathered[e] * share);
    }
  }

  void attend(const Unit& unit, int64_t tile, Scratch& scratch) {
    const int64_t keys = std::min(kKeyTile, rows_ - tile * kKeyTile);
    const int64_t width = padded_columns(width_);
    const int64_t offset = (unit.head * key_tiles_ + tile) * tile_size();
    kernels_.gemm(GemmCall<T>{.a_rows = scratch.q_rows.data(),
                              .a_offset = 0,
                              .b = keys_.data() + offset,
                              .ldb = padded_columns(keys),
                              .c = scratch.scores.data(),
                              .ldc = kKeyTile,
                              .m = unit.rows,
                              .n = padded_columns(keys),
                              .k = width_,
                              .add = false});
    kernels_.softmax(SoftmaxCall<T>{.scores = scratch.scores.data(),
                                    .probabilities = scratch.probabilities.data(),
                                    .ld = kKeyTile,
                                    .rows = unit.rows,
                                    .keys = keys,
                                    .scale = scale_,
                                    .maximum = scratch.maximum.data(),
                                    .sum = scratch.sum.data(),
                                    .gathered = scratch.gathered.data(),
                                    .width = width});
    kernels_.gemm(GemmCall<T>{.a_rows = scratch.p_rows.data(),
                              .a_offset = 0,
                              .b = values_.data() + offset,
                              .ldb = width,
                              .c = scratch.gathered.data(),
                              .ldc = width,
                              .m = unit.rows,
                              .n = width,
                              .k = std::is_same_v<T, float> ? keys : (keys + 1) / 2 * 2,
                              .add = true});
  }

  const Kernels& kernels_;
  int64_t rows_;
  int64_t width_;
  int64_t key_tiles_;
  float scale_;
  const at::Tensor& qkv_;
  at::Tensor& out_;
  std::vector<T> keys_;    // per head and key tile: K transposed and packed
  std::vector<T> values_;  // per head and key tile: V packed
};

}  // namespace

void attention(const Workers& workers, const at::Tensor& qkv_H3NE,
               std::span<const AttentionRun> runs, at::Tensor& out_HNE) {
  if (qkv_H3NE.stride(3) != 1 || out_HNE.stride(2) != 1)
    throw std::logic_error("attention: the last dim must be contiguous");
  by_type(qkv_H3NE.scalar_type(), [&](auto type) {
    Attention<decltype(type)>(workers.kernels, qkv_H3NE, out_HNE).run(workers.pool, runs);
  });
}

}  // namespace cogvx::cpu
