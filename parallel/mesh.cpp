#include "parallel/mesh.h"

#include <cstdint>
#include <string>

#include "core/base/errors.h"

namespace cogvx {

std::vector<int> Mesh::sequence_ranks() const {
  std::vector<int> ranks;
  for (int s = 0; s < sp; ++s) ranks.push_back(cp_rank() * sp + s);
  return ranks;
}

std::vector<int> Mesh::branch_ranks() const {
  std::vector<int> ranks;
  for (int c = 0; c < cp; ++c) ranks.push_back(c * sp + sp_rank());
  return ranks;
}

Mesh make_mesh(int cp, int sp, int world, int rank) {
  // 64 bits: two legal ints may have a product that is none.
  const int64_t product = int64_t{cp} * sp;
  const std::string found = "mesh cp " + std::to_string(cp) + " x sp " + std::to_string(sp) +
                            " in a world of " + std::to_string(world) + ", rank " +
                            std::to_string(rank) + ": ";
  if (cp != 1 && cp != 2)
    throw UsageError(found + "cp is " + std::to_string(cp) +
                     ", wanted 1 or 2 (guidance has two branches); change --cp");
  if (sp < 1)
    throw UsageError(found + "sp is " + std::to_string(sp) + ", wanted 1 or more; change --sp");
  if (product != world)
    throw UsageError(found + "cp x sp is " + std::to_string(product) + ", wanted " +
                     std::to_string(world) +
                     "; change --cp, --sp or the number of processes started");
  if (rank < 0 || rank >= world)
    throw UsageError(found + "rank is " + std::to_string(rank) + ", wanted 0 to " +
                     std::to_string(world - 1) + "; check the launcher's environment");
  return {.cp = cp, .sp = sp, .rank = rank};
}

}  // namespace cogvx
