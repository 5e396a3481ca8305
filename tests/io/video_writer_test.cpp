#include "io/video_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "core/base/errors.h"
#include "io/video_info.h"
#include "tests/io/io_test_support.h"
#include "tests/support/test_paths.h"

namespace cogvx::io::test {
namespace {

namespace fs = std::filesystem;
using cogvx::test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr FrameSize kSize{.width = 96, .height = 64};
// x264 uses fewer threads than asked for below 80 rows per thread or so.
constexpr FrameSize kTallSize{.width = 32, .height = 512};

std::string written_bytes(const Frames& frames, const VideoSettings& settings) {
  const TemporaryFolder folder;
  write_video(folder / "a.mp4", frames.view(), settings);
  return read_bytes(folder / "a.mp4");
}

int largest_difference(const Frames& a, const Frames& b) {
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  }
  return largest;
}

TEST(VideoWriter, KeepsTheOrderOfTheFrames) {
  const TemporaryFolder folder;
  Frames frames{.pixels = {}, .count = 0, .size = kSize};
  for (int i = 0; i < 20; ++i) {
    const auto grey = static_cast<uint8_t>(10 + 12 * i);
    const Frames one = flat_frames(1, kSize, {grey, grey, grey});
    frames.pixels.insert(frames.pixels.end(), one.pixels.begin(), one.pixels.end());
    ++frames.count;
  }
  write_video(folder / "a.mp4", frames.view(), {});
  EXPECT_LE(largest_difference(frames, read_video_frames(folder / "a.mp4")), 4);
}

TEST(VideoWriter, FramesMadeOneAtATimeGiveTheSameFile) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(9, kSize);
  int asked = 0;
  const FrameSource source{.count = 9, .size = kSize, .frame = [&](int index) {
                             EXPECT_EQ(index, asked++);
                             return frames.view()[index];
                           }};
  encode_video(folder / "a.mp4", source, {}).commit();
  EXPECT_EQ(read_bytes(folder / "a.mp4"), written_bytes(frames, {}));
}

TEST(VideoWriter, KeyFramesComeAsOftenAsAskedForAndNoFrameLooksAhead) {
  const TemporaryFolder folder;
  // Per frame 1 for a key frame, and its kind: "1I0P0P".
  const auto frames = [&](const VideoSettings& settings) {
    write_video(folder / "a.mp4", moving_frames(20, kSize).view(), settings);
    return output_of("ffprobe -v error -show_entries frame=key_frame,pict_type -of csv=p=0 " +
                     shell(folder / "a.mp4") + " | cut -c1,3 | tr -d '\n'");
  };
  EXPECT_THAT(frames({}), HasSubstr("B"));
  const std::string often = frames({.key_frame_interval = 8});
  ASSERT_EQ(often.size(), 40U);
  EXPECT_THAT(often, Not(HasSubstr("B")));
  EXPECT_THAT(often, Not(HasSubstr("0P0P0P0P0P0P0P0P"))) << "eight after a key frame";
  EXPECT_THAT(often, HasSubstr("0P0P0P0P0P0P0P1I"));
  EXPECT_THAT(frames({.key_frame_interval = 1}), Not(HasSubstr("0")));
  EXPECT_THAT(message_of<UsageError>([&] {
                write_video(folder / "a.mkv", moving_frames(1, kSize).view(),
                            {.codec = VideoCodec::kFfv1, .key_frame_interval = 1});
              }),
              HasSubstr("ffv1 video with a key frame every 1 frames; wanted h264"));
}

TEST(VideoWriter, FlatColoursComeBackWithinThree) {
  const TemporaryFolder folder;
  const std::array<Color, 8> colors{Color{255, 0, 0},     Color{0, 255, 0},  Color{0, 0, 255},
                                    Color{128, 128, 128}, Color{0, 0, 0},    Color{255, 255, 255},
                                    Color{200, 120, 40},  Color{30, 90, 160}};
  for (const Color& color : colors) {
    const Frames frames = flat_frames(2, kSize, color);
    write_video(folder / "a.mp4", frames.view(), {});
    EXPECT_LE(largest_difference(frames, read_video_frames(folder / "a.mp4")), 3)
        << int(color[0]) << " " << int(color[1]) << " " << int(color[2]);
  }
}

TEST(VideoWriter, ColourEdgesStayWhereTheyWere) {
  const TemporaryFolder folder;
  Frames frames = flat_frames(1, kSize, {40, 40, 200});
  for (size_t i = 0; i < frames.pixels.size(); i += 3) {
    if (static_cast<int>(i / 3) % kSize.width < kSize.width / 2) {
      std::swap(frames.pixels[i], frames.pixels[i + 2]);
    }
  }
  write_video(folder / "a.mp4", frames.view(), {.crf = 1});
  const Frames decoded = read_video_frames(folder / "a.mp4");
  // Siting: with chroma on the left sample the edge between columns 47 and 48 bleeds evenly to both
  // sides.
  const size_t row = size_t{3} * 32 * static_cast<size_t>(kSize.width);
  const auto red_at = [&](size_t column) { return int{decoded.pixels[row + 3 * column]}; };
  const int left_loss = 200 - red_at(47);
  const int right_gain = red_at(48) - 40;
  EXPECT_LE(std::abs(left_loss - right_gain), 60) << left_loss << " " << right_gain;
  EXPECT_NEAR(red_at(40), 200, 6);
  EXPECT_NEAR(red_at(55), 40, 6);
}

TEST(VideoWriter, EncoderThreadsAreTheOptionsNotTheMachines) {
  const Frames frames = moving_frames(3, kTallSize);
  EXPECT_THAT(written_bytes(frames, {}), HasSubstr(" threads=4 "));
  EXPECT_THAT(written_bytes(frames, {.encoder_threads = 3}), HasSubstr(" threads=3 "));
  EXPECT_THAT(written_bytes(frames, {.encoder_threads = 1}), HasSubstr(" threads=1 "));
}

TEST(VideoWriter, CrfReachesTheEncoder) {
  const Frames frames = moving_frames(9, kSize);
  EXPECT_THAT(written_bytes(frames, {}), HasSubstr(" crf=17.0 "));
  EXPECT_LT(written_bytes(frames, {.crf = 40}).size(), written_bytes(frames, {.crf = 10}).size());
}

TEST(VideoWriter, IndexStandsBeforeTheData) {
  const std::string bytes = written_bytes(moving_frames(9, kSize), {});
  const size_t index = bytes.find("moov");
  const size_t data = bytes.find("mdat");
  ASSERT_NE(index, std::string::npos);
  ASSERT_NE(data, std::string::npos);
  EXPECT_LT(index, data);
}

TEST(VideoWriter, MetadataIsWritten) {
  const TemporaryFolder folder;
  const std::string long_text(20000, 'p');
  const std::map<std::string, std::string> plain{{"comment", "ein Hund, \"groß\""},
                                                 {"title", long_text}};
  write_video(folder / "a.mp4", moving_frames(1, kSize).view(), {.metadata = plain});
  EXPECT_EQ(read_video_info(folder / "a.mp4").metadata, plain);
  const std::map<std::string, std::string> own{{"comment", "c"}, {"cogvx_request", "{}"}};
  write_video(folder / "b.mp4", moving_frames(1, kSize).view(), {.metadata = own});
  EXPECT_EQ(read_video_info(folder / "b.mp4").metadata, own);
}

TEST(VideoWriter, NoMetadataMeansNone) {
  const TemporaryFolder folder;
  write_video(folder / "a.mp4", moving_frames(1, kSize).view(), {});
  EXPECT_THAT(read_video_info(folder / "a.mp4").metadata, IsEmpty());
  EXPECT_THAT(read_bytes(folder / "a.mp4"), Not(HasSubstr("Lavf")));
}

TEST(VideoWriter, ReportsEveryFrame) {
  const TemporaryFolder folder;
  std::vector<int> done;
  write_video(folder / "a.mp4", moving_frames(3, kSize).view(), {}, [&](int i, int total) {
    done.push_back(i);
    EXPECT_EQ(total, 3);
  });
  EXPECT_THAT(done, ElementsAre(1, 2, 3));
}

TEST(VideoWriter, StoppedHalfwayLeavesTheOldFileAndNoOther) {
  const TemporaryFolder folder;
  write_bytes(folder / "old.mp4", "old");
  const auto stop = [](int done, int) {
    if (done == 2) throw Interrupted("stop");
  };
  const Frames frames = moving_frames(3, kSize);
  EXPECT_THROW(write_video(folder / "old.mp4", frames.view(), {}, stop), Interrupted);
  EXPECT_THROW(write_video(folder / "new.mp4", frames.view(), {}, stop), Interrupted);
  EXPECT_THAT(file_names(folder.path()), ElementsAre("old.mp4"));
  EXPECT_EQ(read_bytes(folder / "old.mp4"), "old");
}

TEST(VideoWriter, TakesNamesThatLibavWouldReadAsOtherThings) {
  const TemporaryFolder folder;
  write_video(folder / "tcp:%d a,b.MP4", moving_frames(2, kSize).view(), {});
  EXPECT_THAT(file_names(folder.path()), ElementsAre("tcp:%d a,b.MP4"));
  EXPECT_EQ(read_video_info(folder / "tcp:%d a,b.MP4").frame_count, 2);
}

TEST(VideoWriter, RefusesWhatTheCodecCannotTake) {
  const auto refusal = [](const char* name, FrameSize size, const VideoSettings& settings) {
    return message_of<UsageError>([&] { check_video(name, size, settings); });
  };
  EXPECT_EQ(refusal("a.mp4", kSize, {}), "");
  EXPECT_THAT(refusal("a.mp4", {97, 64}, {}), HasSubstr("97x64 pixels; wanted"));
  EXPECT_THAT(refusal("a.mp4", {96, 63}, {}), HasSubstr("96x63 pixels; wanted"));
  EXPECT_THAT(refusal("a.mp4", {0, 64}, {}), HasSubstr("0x64 pixels; wanted"));
  EXPECT_THAT(refusal("a.mkv", kSize, {}), HasSubstr("wanted a name that ends in .mp4"));
  EXPECT_THAT(refusal("a", kSize, {}), HasSubstr("wanted a name that ends in .mp4"));
  EXPECT_THAT(refusal("a.mp4", kSize, {.frame_rate = {0, 1}}), HasSubstr("frame rate 0/1; wanted"));
  EXPECT_THAT(refusal("a.mp4", kSize, {.crf = 52}), HasSubstr("crf 52; wanted 0 to 51"));
  EXPECT_THAT(refusal("a.mp4", kSize, {.encoder_threads = 0}),
              HasSubstr("0 encoder threads; wanted"));
}

TEST(VideoWriter, RefusesNoFrames) {
  const TemporaryFolder folder;
  EXPECT_THROW(
      write_video(folder / "a.mp4", Frames{.pixels = {}, .count = 0, .size = kSize}.view(), {}),
      UsageError);
  EXPECT_THAT(file_names(folder.path()), IsEmpty());
}

}  // namespace
}  // namespace cogvx::io::test
