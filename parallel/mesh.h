#pragma once

#include <vector>

namespace cogvx {

// Where one process stands among cp x sp processes. Arithmetic only: sp runs fastest, so that the
// ranks that share one guidance branch's sequence are neighbours.
struct Mesh {
  int cp = 1;
  int sp = 1;
  int rank = 0;

  int world() const { return cp * sp; }
  int cp_rank() const { return rank / sp; }
  int sp_rank() const { return rank % sp; }
  // Ranks that share this rank's sequence, in sp order, and ranks that hold the same part of the
  // other branch's, in cp order; this rank is among both.
  std::vector<int> sequence_ranks() const;
  std::vector<int> branch_ranks() const;
  bool operator==(const Mesh&) const = default;
};

// The mesh of `rank` among `world` processes. Throws UsageError naming every factor.
Mesh make_mesh(int cp, int sp, int world, int rank);

}  // namespace cogvx
