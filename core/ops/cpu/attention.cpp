#include "core/ops/cpu/attention.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <stdexcept>
#include <vector>

#include "core/ops/cpu/gemm.h"

namespace cogvx::cpu {
namespace {

constexpr int64_t kKeyTile = 256;
// Heads are packed a few at a time: enough tiles to feed the threads, little memory.
constexpr int64_t kTilesPerRound = 64;

struct Unit {
  int64_t head;  // index within the round
  const void* q;
  void* out;
  int64_t rows;
};

// The running softmax of one query tile.
struct SoftmaxState {
  std::array<float, kBlockRows> maximum;
  std::array<float, kBlockRows> sum;
};

// scores (rows of kKeyTile) -> probabilities relative to the new maximum, in T, zero-padded to
// `padded` keys; rescales what `out` has gathered under the old maximum.
template <typename T>
COGVX_INLINE void softmax_tile_any(float* scores, int64_t rows, int64_t keys, int64_t padded,
                                   float scale, SoftmaxState& state, T* probabilities, float* out,
                                   int64_t width) {
  for (int64_t r = 0; r < rows; ++r) {
    float* s = scores + r * kKeyTile;
    float lanes[16];
    for (float& lane : lanes) lane = state.maximum[r];
    for (int64_t k = 0; k < keys; ++k) s[k] *= scale;
    int64_t k = 0;
    for (; k + 16 <= keys; k += 16) {
      for (int64_t l = 0; l < 16; ++l) lanes[l] = s[k + l] > lanes[l] ? s[k + l] : lanes[l];
    }
    for (int64_t l = 0; k + l < keys; ++l) lanes[l] = s[k + l] > lanes[l] ? s[k + l] : lanes[l];
    float maximum = lanes[0];
    for (float lane : lanes) maximum = lane > maximum ? lane : maximum;

    for (k = 0; k < keys; ++k) s[k] = exp_f32(s[k] - maximum);
    float sums[16] = {};
    for (k = 0; k + 16 <= keys; k += 16) {
      for (int64_t l = 0; l < 16; ++l) sums[l] += s[k + l];
    }
    for (int64_t l = 0; k + l < keys; ++l) sums[l] += s[k + l];
    float sum = 0;
    for (float lane : sums) sum += lane;

    T* p = probabilities + r * kKeyTile;
    for (k = 0; k < keys; ++k) store(p[k], s[k]);
    for (; k < padded; ++k) store(p[k], 0.0f);

    const float shrink = exp_f32(state.maximum[r] - maximum);
    state.sum[r] = state.sum[r] * shrink + sum;
    state.maximum[r] = maximum;
    for (int64_t e = 0; e < width; ++e) out[r * width + e] *= shrink;
  }
}
COGVX_KERNEL void softmax_tile(float* scores, int64_t rows, int64_t keys, int64_t padded,
                               float scale, SoftmaxState& state, float* probabilities, float* out,
                               int64_t width) {
  softmax_tile_any(scores, rows, keys, padded, scale, state, probabilities, out, width);
}
COGVX_KERNEL void softmax_tile(float* scores, int64_t rows, int64_t keys, int64_t padded,
                               float scale, SoftmaxState& state, Bf16* probabilities, float* out,
                               int64_t width) {
  softmax_tile_any(scores, rows, keys, padded, scale, state, probabilities, out, width);
}

template <typename T>
class Attention {
 public:
  Attention(const at::Tensor& qkv_H3NE, at::Tensor& out_HNE)
      : rows_(qkv_H3NE.size(2)),
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
  Unit make_unit(int64_t head, int64_t slot, int64_t row) const {
    const auto* q =
        static_cast<const T*>(qkv_.const_data_ptr()) + head * qkv_.stride(0) + row * qkv_.stride(2);
    auto* out =
        static_cast<T*>(out_.mutable_data_ptr()) + head * out_.stride(0) + row * out_.stride(1);
    return {slot, q, out, std::min(kBlockRows, rows_ - row)};
  }

  int64_t tile_size() const { return kKeyTile * width_; }

  void pack_heads(ThreadPool& pool, const std::map<int64_t, int64_t>& slot_of_head) {
    std::vector<int64_t> heads(slot_of_head.size());
    for (const auto& [head, slot] : slot_of_head) heads[slot] = head;
    keys_.resize(heads.size() * key_tiles_ * tile_size());
    values_.resize(keys_.size());
    pool.run(static_cast<int64_t>(heads.size()) * key_tiles_, [&](int64_t u) {
      const int64_t begin = u % key_tiles_ * kKeyTile;
      const int64_t count = std::min(kKeyTile, rows_ - begin);
      const auto* head =
          static_cast<const T*>(qkv_.const_data_ptr()) + heads[u / key_tiles_] * qkv_.stride(0);
      const T* k = head + qkv_.stride(1) + begin * qkv_.stride(2);
      const T* v = head + 2 * qkv_.stride(1) + begin * qkv_.stride(2);
      pack_transposed(k, qkv_.stride(2), count, width_, keys_.data() + u * tile_size(), count);
      pack_rows(v, qkv_.stride(2), count, width_, values_.data() + u * tile_size(), width_);
    });
  }

  void compute(const Unit& unit) {
    thread_local std::vector<float> scores(kBlockRows * kKeyTile);
    thread_local std::vector<T> probabilities(kBlockRows * kKeyTile);
    thread_local std::vector<float> gathered;
    gathered.assign(kBlockRows * width_, 0.0f);
    SoftmaxState state;
    state.maximum.fill(-std::numeric_limits<float>::infinity());
    state.sum.fill(0.0f);

    const auto* q = static_cast<const T*>(unit.q);
    for (int64_t tile = 0; tile < key_tiles_; ++tile) {
      const int64_t keys = std::min(kKeyTile, rows_ - tile * kKeyTile);
      const int64_t padded = (keys + 1) / 2 * 2;
      const int64_t offset = (unit.head * key_tiles_ + tile) * tile_size();
      gemm_tile({unit.rows, keys, width_, qkv_.stride(2), keys, kKeyTile}, q, keys_.data() + offset,
                scores.data(), /*add=*/false);
      softmax_tile(scores.data(), unit.rows, keys, padded, scale_, state, probabilities.data(),
                   gathered.data(), width_);
      const int64_t depth = std::is_same_v<T, float> ? keys : padded;
      gemm_tile({unit.rows, width_, depth, kKeyTile, width_, width_}, probabilities.data(),
                values_.data() + offset, gathered.data(), /*add=*/true);
    }
    gemm_done();
    for (int64_t r = 0; r < unit.rows; ++r) {
      T* out = static_cast<T*>(unit.out) + r * out_.stride(1);
      for (int64_t e = 0; e < width_; ++e) store(out[e], gathered[r * width_ + e] / state.sum[r]);
    }
  }

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

void attention(ThreadPool& pool, const at::Tensor& qkv_H3NE, std::span<const AttentionRun> runs,
               at::Tensor& out_HNE) {
  if (qkv_H3NE.stride(3) != 1 || out_HNE.stride(2) != 1)
    throw std::logic_error("attention: the last dim must be contiguous");
  if (qkv_H3NE.scalar_type() == at::kFloat) {
    Attention<float>(qkv_H3NE, out_HNE).run(pool, runs);
  } else {
    Attention<Bf16>(qkv_H3NE, out_HNE).run(pool, runs);
  }
}

}  // namespace cogvx::cpu
