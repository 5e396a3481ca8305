#include "core/pipeline/memory_plan.h"

#include <gtest/gtest.h>

#include "core/base/memory.h"
#include "core/base/shapes.h"
#include "core/pipeline/component_sizes.h"
#include "core/pipeline/device_memory_plan.h"

namespace cogvx {
namespace {

// 2B's geometry, 9 frames: 4,276 rows.
class HostMemoryPlan : public testing::Test {
 protected:
  HostMemoryPlan() {
    request_.dtype = at::kBFloat16;
    request_.width = 720;
    request_.height = 480;
    request_.num_frames = 9;
    request_.max_text_tokens = 226;
    request_.vae_tile = {240, 360};
    checkpoint_.transformer.num_layers = 1;
  }
  MemoryPlan plan(const DeviceShare& share) const {
    return plan_shared_memory(checkpoint_, request_, /*threads=*/1, share);
  }
  DeviceShare whole() const { return whole_share(checkpoint_, request_); }
  int64_t width_bytes() const {
    return checkpoint_.transformer.width() * element_bytes(request_.dtype);
  }

  Checkpoint checkpoint_;
  Request request_;
};

// A plan that takes the heap for full of holes up to one size of block has a cliff there.
TEST_F(HostMemoryPlan, OfMoreRowsIsNoLessThanABlockOfTheHeapBelowThatOfFewer) {
  DeviceShare share = whole();
  int64_t last = 0;
  for (share.rows = 0; share.rows <= joint_rows(request_, checkpoint_); share.rows += kBlockRows) {
    const int64_t now = plan(share).denoise;
    EXPECT_GE(now, last - kMappedBlockBytes) << share.rows << " rows";
    EXPECT_LE(now, last + (last == 0 ? now : 11 * kBlockRows * width_bytes()))
        << share.rows << " rows";
    last = now;
  }
}

TEST_F(HostMemoryPlan, ToDenoiseGrowsBySixWidthsARowAndBytewiseWithTheExchange) {
  request_.num_frames = 49;
  DeviceShare share = whole();
  const int64_t before = plan(share).denoise;
  share.exchange_bytes += 12345;
  EXPECT_EQ(plan(share).denoise, before + 12345);
  share.exchange_bytes -= 12345;
  // Every row of the video is there already, so that no position is added.
  share.rows += kBlockRows;
  EXPECT_EQ(plan(share).denoise, before + 6 * kBlockRows * width_bytes());
}

// With many ranks the table that each makes is wider than what its rows need.
TEST_F(HostMemoryPlan, ToDenoiseAFewRowsHoldsATableOfAllPositions) {
  request_.num_frames = 49;
  DeviceShare share = whole();
  share.rows = 2 * kBlockRows;
  const int64_t with_table = plan(share).denoise;
  checkpoint_.transformer.use_rotary_positional_embeddings = true;
  const int64_t video = joint_rows(request_, checkpoint_) - request_.max_text_tokens;
  const int64_t rotary = 2 * video * checkpoint_.transformer.attention_head_dim * 4;
  EXPECT_GT(with_table, plan(share).denoise - rotary + video * width_bytes() / 2);
}

TEST_F(HostMemoryPlan, ToDecodeIsThatOfOwnTiles) {
  DeviceShare share = whole();
  share.encodes_text = share.joins_tiles = false;
  const std::vector<Tile> all = share.decoded;
  ASSERT_EQ(all.size(), 9U);
  share.decoded = {};
  const int64_t none = plan(share).decode;
  share.decoded = {all.back()};  // in the corner, the smallest
  const int64_t smallest = plan(share).decode;
  share.decoded = {all.front()};
  const int64_t largest = plan(share).decode;
  share.decoded.push_back(all.front());
  const int64_t two = plan(share).decode;
  EXPECT_LT(none, smallest);
  EXPECT_LT(smallest, largest);
  // The first stays until it is sent.
  EXPECT_EQ(two - largest, 3 * request_.num_frames * 240 * 360 * element_bytes(request_.dtype));
}

}  // namespace
}  // namespace cogvx
