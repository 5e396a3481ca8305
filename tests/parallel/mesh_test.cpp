#include "parallel/mesh.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/base/errors.h"

namespace cogvx {
namespace {

std::string refusal(int cp, int sp, int world, int rank) {
  try {
    make_mesh(cp, sp, world, rank);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Mesh, RankIsCpRankTimesSpPlusSpRank) {
  for (int cp : {1, 2}) {
    for (int sp = 1; sp <= 9; ++sp) {
      std::set<std::pair<int, int>> places;
      for (int rank = 0; rank < cp * sp; ++rank) {
        const Mesh mesh = make_mesh(cp, sp, cp * sp, rank);
        EXPECT_EQ(mesh.cp_rank() * sp + mesh.sp_rank(), rank);
        EXPECT_LT(mesh.cp_rank(), cp);
        EXPECT_LT(mesh.sp_rank(), sp);
        EXPECT_EQ(mesh.world(), cp * sp);
        places.insert({mesh.cp_rank(), mesh.sp_rank()});
      }
      EXPECT_EQ(std::ssize(places), cp * sp);
    }
  }
}

TEST(Mesh, SequencePeersAreNeighboursAndBranchPeersStandSpApart) {
  const Mesh mesh = make_mesh(2, 3, 6, 4);
  EXPECT_EQ(mesh.sequence_ranks(), (std::vector<int>{3, 4, 5}));
  EXPECT_EQ(mesh.branch_ranks(), (std::vector<int>{1, 4}));
}

TEST(Mesh, OneProcessIsAMesh) {
  EXPECT_EQ(make_mesh(1, 1, 1, 0), Mesh{});
  EXPECT_EQ(Mesh{}.sequence_ranks(), std::vector<int>{0});
}

TEST(Mesh, RefusalNamesEveryFactor) {
  EXPECT_EQ(refusal(2, 3, 8, 5),
            "mesh cp 2 x sp 3 in a world of 8, rank 5: cp x sp is 6, wanted 8; change --cp, --sp "
            "or the number of processes started");
  EXPECT_EQ(refusal(3, 2, 6, 0),
            "mesh cp 3 x sp 2 in a world of 6, rank 0: cp is 3, wanted 1 or 2 (guidance has two "
            "branches); change --cp");
  EXPECT_EQ(refusal(1, 0, 1, 0),
            "mesh cp 1 x sp 0 in a world of 1, rank 0: sp is 0, wanted 1 or more; change --sp");
  EXPECT_EQ(refusal(1, 2, 2, 2),
            "mesh cp 1 x sp 2 in a world of 2, rank 2: rank is 2, wanted 0 to 1; check the "
            "launcher's environment");
  EXPECT_NE(refusal(1, 2, 2, -1), "accepted");
}

TEST(Mesh, AProductBeyondIntIsRefusedNotWrapped) {
  EXPECT_NE(refusal(2, 1 << 30, 0, 0).find("cp x sp is 2147483648, wanted 0"), std::string::npos);
}

}  // namespace
}  // namespace cogvx
