#include "core/ops/cpu/packing.h"

#include <algorithm>
#include <cstring>

namespace cogvx::cpu {

namespace {

// Words that one step of pack_transposed takes from as many rows: a cache line of each.
constexpr int64_t kSquare = 16;

struct Words {
  const char* from;
  int64_t ld_from;  // bytes
  uint32_t* to;
  int64_t ld_to;  // words
};

// `rows` x `columns` words -> the transpose. In squares, because either side alone would touch a
// new cache line with every word.
void transpose(const Words& w, int64_t rows, int64_t columns) {
  for (int64_t row = 0; row < rows; row += kSquare) {
    const int64_t row_end = std::min(rows, row + kSquare);
    for (int64_t column = 0; column < columns; column += kSquare) {
      const int64_t column_end = std::min(columns, column + kSquare);
      for (int64_t r = row; r < row_end; ++r) {
        const char* line = w.from + r * w.ld_from;
        for (int64_t c = column; c < column_end; ++c)
          std::memcpy(w.to + c * w.ld_to + r, line + c * 4, sizeof(uint32_t));
      }
    }
  }
}

// Zeros behind the n columns of `rows` rows.
void clear_padding(uint32_t* to, int64_t rows, int64_t n) {
  const int64_t columns = padded_columns(n);
  for (int64_t i = 0; i < rows; ++i) std::fill(to + i * columns + n, to + (i + 1) * columns, 0U);
}

// A word is a float, or a pair of Bf16.
template <typename T>
void transpose_words(const T* from, int64_t ld_from, int64_t n, int64_t words, T* to) {
  auto* packed = reinterpret_cast<uint32_t*>(to);
  transpose({reinterpret_cast<const char*>(from), ld_from * static_cast<int64_t>(sizeof(T)), packed,
             padded_columns(n)},
            n, words);
  clear_padding(packed, words, n);
}

}  // namespace

void pack_transposed(const float* from, int64_t ld_from, int64_t n, int64_t k, float* to) {
  transpose_words(from, ld_from, n, k, to);
}

void pack_transposed(const Bf16* from, int64_t ld_from, int64_t n, int64_t k, Bf16* to) {
  transpose_words(from, ld_from, n, k / 2, to);
}

void pack_rows(const float* from, int64_t ld_from, int64_t k, int64_t n, float* to) {
  const int64_t columns = padded_columns(n);
  for (int64_t i = 0; i < k; ++i, to += columns) {
    std::copy_n(from + i * ld_from, n, to);
    std::fill(to + n, to + columns, 0.0f);
  }
}

void pack_rows(const Bf16* from, int64_t ld_from, int64_t k, int64_t n, Bf16* to) {
  const int64_t columns = padded_columns(n);
  for (int64_t i = 0; i < k; i += 2, to += 2 * columns) {
    for (int64_t j = 0; j < n; ++j) {
      to[2 * j] = from[i * ld_from + j];
      to[2 * j + 1] = i + 1 < k ? from[(i + 1) * ld_from + j] : Bf16{0};
    }
    std::fill(to + 2 * n, to + 2 * columns, Bf16{0});
  }
}

}  // namespace cogvx::cpu
