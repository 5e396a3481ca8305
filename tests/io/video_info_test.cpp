#include "io/video_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/errors.h"
#include "io/video_writer.h"
#include "tests/io/io_test_support.h"
#include "tests/support/test_paths.h"

namespace cogvx::io::test {
namespace {

using cogvx::test::TemporaryFolder;
using testing::HasSubstr;

constexpr FrameSize kSize{.width = 96, .height = 64};

TEST(VideoInfo, MissingAndForeignFilesAreDataErrors) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of<DataError>([&] { read_video_info(folder / "none.mp4"); }),
              HasSubstr("none.mp4': cannot open the video: No such file or directory"));
  write_bytes(folder / "text.mp4", "no video at all");
  EXPECT_THROW(read_video_info(folder / "text.mp4"), DataError);
  EXPECT_THROW(read_video_frames(folder / "text.mp4"), DataError);
}

TEST(VideoInfo, FileThatWasCutOffIsADataError) {
  const TemporaryFolder folder;
  write_video(folder / "a.mp4", moving_frames(20, kSize).view(), {});
  const std::string bytes = read_bytes(folder / "a.mp4");
  for (const size_t kept : {bytes.size() - 1, bytes.size() * 3 / 4, bytes.find("mdat") + 4}) {
    write_bytes(folder / "cut.mp4", bytes.substr(0, kept));
    EXPECT_THROW(read_video_info(folder / "cut.mp4"), DataError) << kept << " bytes";
    EXPECT_THROW(read_video_frames(folder / "cut.mp4"), DataError) << kept << " bytes";
  }
}

}  // namespace
}  // namespace cogvx::io::test
