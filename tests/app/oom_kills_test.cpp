#include "app/oom_kills.h"

#include <gtest/gtest.h>

#include "io/atomic_file.h"
#include "tests/support/test_paths.h"

namespace cogvx::app {
namespace {

TEST(OomKills, CountsOnlyWhatCameLater) {
  const test::TemporaryFolder folder;
  const auto count = [&](const char* text) { io::write_text_file(folder / "memory.events", text); };
  count("low 0\noom 4\noom_kill 3\noom_group_kill 0\n");
  const OomKills kills({folder / "memory.events"});
  EXPECT_FALSE(kills.struck());
  count("low 7\noom 9\noom_kill 3\noom_group_kill 0\n");
  EXPECT_FALSE(kills.struck());
  count("low 7\noom 9\noom_kill 4\noom_group_kill 0\n");
  EXPECT_TRUE(kills.struck());
}

TEST(OomKills, WhereNothingCountsNothingStruck) {
  EXPECT_FALSE(OomKills({"/nowhere/memory.events"}).struck());
  EXPECT_FALSE(OomKills().struck());
}

}  // namespace
}  // namespace cogvx::app
