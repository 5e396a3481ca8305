#pragma once

#include <functional>
#include <stdexcept>

#include "parallel/group.h"
#include "parallel/mesh_work.h"

namespace cogvx::test {

// What the other ranks see when one has thrown, or has gone home early.
struct PeerGone : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Runs `rank_main` as `size` ranks, each on a thread of its own, that exchange through memory.
// Returns when all have ended and throws what the first of them threw of its own; a rank that
// throws leaves nobody waiting.
//
// The group is as unhelpful as the contract of Group allows, so that tests see what a fast network
// hides: begin fills the receiver's tensor with 0xA5, and bytes are read from the sender as late as
// possible, in the first wait of any rank after all have begun. Ranks that call different
// operations, or disagree on sizes, get a std::logic_error.
void run_ranks(int size, const std::function<void(Group&)>& rank_main);

// The same for cp x sp ranks, each with all its groups.
void run_mesh(int cp, int sp, const std::function<void(const MeshGroups&)>& rank_main);

}  // namespace cogvx::test
