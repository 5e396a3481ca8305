#include "io/video_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>

#include "core/base/errors.h"
#include "io/frames_folder.h"
#include "io/png.h"
#include "io/video_writer.h"
#include "tests/io/io_test_support.h"
#include "tests/io/media_goldens.h"
#include "tests/support/test_paths.h"

namespace cogvx::io::test {
namespace {

namespace fs = std::filesystem;
using cogvx::test::TemporaryFolder;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr FrameSize kSize{.width = 32, .height = 24};

struct Read {
  VideoFrames video;
  std::vector<std::string> notices;
};

Read read(const fs::path& path, const VideoSlice& slice) {
  Read result;
  Monitor monitor;
  monitor.on_notice = [&](const std::string& text) { result.notices.push_back(text); };
  result.video = read_video(path, slice, monitor);
  return result;
}

std::string refusal(const fs::path& path, const VideoSlice& slice) {
  return message_of<DataError>([&] { read_video(path, slice); });
}

std::vector<uint8_t> part_of(const Frames& frames, int from, int count) {
  const auto bytes = static_cast<ptrdiff_t>(frames.size.bytes());
  return {frames.pixels.begin() + from * bytes, frames.pixels.begin() + (from + count) * bytes};
}

TEST(VideoReader, FramesOfASliceAreExact) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(9, {33, 17});
  write_lossless(folder / "a.mkv", frames);
  for (const auto& [from, count] :
       {std::pair{0, 9}, std::pair{0, 1}, std::pair{3, 4}, std::pair{8, 1}}) {
    const Read result = read(folder / "a.mkv", {.from = from, .count = count});
    EXPECT_EQ(result.video.frames.count, count);
    EXPECT_EQ(result.video.frames.size, (FrameSize{33, 17}));
    EXPECT_EQ(result.video.frames.pixels, part_of(frames, from, count)) << from << " " << count;
    EXPECT_THAT(result.notices, IsEmpty());
  }
}

TEST(VideoReader, FolderOfPngIsReadAsItWasWritten) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(5, {33, 17});
  write_png_frames(folder / "frames", frames.view());
  EXPECT_EQ(read_video(folder / "frames", {.from = 1, .count = 3}).frames.pixels,
            part_of(frames, 1, 3));
  const VideoSource source = inspect_video(folder / "frames");
  EXPECT_EQ(source.frame_count, 5);
  EXPECT_EQ(source.size, (FrameSize{33, 17}));
  EXPECT_EQ(source.frame_rate, (FrameRate{0, 1}));
}

TEST(VideoReader, SourceIsReported) {
  const TemporaryFolder folder;
  write_video(folder / "a.mp4", moving_frames(11, kSize).view(), {.frame_rate = {30000, 1001}});
  const VideoSource source = inspect_video(folder / "a.mp4");
  EXPECT_EQ(source.frame_count, 11);
  EXPECT_EQ(source.size, kSize);
  EXPECT_EQ(source.frame_rate, (FrameRate{30000, 1001}));
  EXPECT_EQ(read_video(folder / "a.mp4", {}).frame_rate, (FrameRate{30000, 1001}));
}

TEST(VideoReader, FewerFramesNameBothCounts) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(5, kSize);
  write_lossless(folder / "a.mkv", frames);
  write_png_frames(folder / "frames", frames.view());
  for (const char* name : {"a.mkv", "frames"}) {
    EXPECT_THAT(refusal(folder / name, {.from = 2, .count = 4}),
                HasSubstr("': holds 5 frames, wanted 4 from frame 2 on; give a longer video"))
        << name;
    EXPECT_THAT(refusal(folder / name, {.from = 2000000000, .count = 2000000000}),
                HasSubstr("holds 5 frames"))
        << name;
    EXPECT_EQ(refusal(folder / name, {.from = 2, .count = 3}), "");
  }
}

TEST(VideoReader, SliceThatIsNoneIsAUsageError) {
  EXPECT_THAT(message_of<UsageError>([] { read_video("a.mp4", {.from = -1, .count = 3}); }),
              HasSubstr("3 frames from frame -1: wanted one or more"));
  EXPECT_THROW(read_video("a.mp4", {.from = 0, .count = 0}), UsageError);
}

TEST(VideoReader, FramesAreResizedOneByOne) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(3, kSize);
  write_lossless(folder / "a.mkv", frames);
  const ResizeTo target{.size = {20, 30}};
  const Read result = read(folder / "a.mkv", {.count = 3, .resize = target});
  EXPECT_EQ(result.video.frames.size, target.size);
  std::vector<uint8_t> want;
  for (int i = 0; i < 3; ++i) {
    const Image image = resize(frames.view()[i], target);
    want.insert(want.end(), image.pixels.begin(), image.pixels.end());
  }
  EXPECT_EQ(result.video.frames.pixels, want);
  EXPECT_THAT(result.notices,
              ElementsAre(HasSubstr("input of 32x24 pixels is stretched to 20x30")));
}

TEST(VideoReader, VariableFrameRateIsNoticedAndAConstantOneIsNot) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(8, kSize);
  write_lossless(folder / "a.mkv", frames);
  ffmpeg("-i " + shell(folder / "a.mkv") +
         " -vf \"setpts='(N+0.7*gt(N,3)*N)/10/TB'\" -vsync vfr -c:v ffv1 " +
         shell(folder / "vfr.mkv"));
  const Read variable = read(folder / "vfr.mkv", {.count = 8});
  EXPECT_THAT(variable.notices, ElementsAre(AllOf(HasSubstr("vfr.mkv': variable frame rate ("),
                                                  HasSubstr("every frame is taken once"))));
  EXPECT_EQ(variable.video.frames.pixels, frames.pixels);
  // Matroska counts milliseconds: 33, 33, 34.
  write_video(folder / "30.mkv", frames.view(),
              {.codec = VideoCodec::kFfv1, .frame_rate = {30, 1}});
  EXPECT_THAT(read(folder / "30.mkv", {.count = 8}).notices, IsEmpty());
}

TEST(VideoReader, PixelsThatAreNotSquareHdrAndAlphaAreNoticed) {
  const TemporaryFolder folder;
  write_lossless(folder / "a.mkv", moving_frames(1, kSize));
  const std::string encode = "-i " + shell(folder / "a.mkv") + " -c:v ffv1 ";
  ffmpeg(encode + "-vf setsar=4/3 " + shell(folder / "sar.mkv"));
  EXPECT_THAT(read(folder / "sar.mkv", {}).notices,
              ElementsAre(HasSubstr("pixels are 4:3, not square")));
  ffmpeg(encode + "-pix_fmt yuv420p10le -color_trc smpte2084 " + shell(folder / "hdr.mkv"));
  EXPECT_THAT(read(folder / "hdr.mkv", {}).notices,
              ElementsAre(HasSubstr("HDR video (smpte2084)")));
  ffmpeg(encode + "-vf format=rgba,colorchannelmixer=aa=0.5 -pix_fmt bgra " +
         shell(folder / "alpha.mkv"));
  EXPECT_THAT(read(folder / "alpha.mkv", {}).notices, ElementsAre(HasSubstr("alpha is dropped")));
}

TEST(VideoReader, SoundAloneIsRefused) {
  const TemporaryFolder folder;
  write_png(folder / "cover.png", moving_frames(1, kSize).view()[0]);
  ffmpeg("-f lavfi -i sine=duration=0.2 " + shell(folder / "a.wav"));
  ffmpeg("-f lavfi -i sine=duration=0.2 -i " + shell(folder / "cover.png") +
         " -map 0 -map 1 -c:v png -disposition:v attached_pic " + shell(folder / "cover.m4a"));
  for (const char* name : {"a.wav", "cover.m4a"}) {
    EXPECT_THAT(refusal(folder / name, {}),
                HasSubstr("': sound without a video; give a file that has pictures"))
        << name;
    EXPECT_THROW(inspect_video(folder / name), DataError) << name;
  }
}

TEST(VideoReader, VideoWithoutFramesIsRefused) {
  const TemporaryFolder folder;
  ffmpeg("-f lavfi -i color=s=32x24 -frames:v 0 -c:v rawvideo -f avi " +
         shell(folder / "none.avi"));
  EXPECT_THAT(refusal(folder / "none.avi", {}),
              AllOf(HasSubstr("none.avi': "), Not(HasSubstr("\n"))));
  fs::create_directory(folder / "empty");
  EXPECT_THAT(refusal(folder / "empty", {}),
              HasSubstr("folder without frames; wanted 000000.png, 000001.png"));
}

TEST(VideoReader, GapAndOtherSizeInAFolderAreRefused) {
  const TemporaryFolder folder;
  write_png_frames(folder / "frames", moving_frames(4, kSize).view());
  write_png(folder / "frames/000002.png", moving_frames(1, {8, 8}).view()[0]);
  EXPECT_THAT(refusal(folder / "frames", {.count = 4}),
              HasSubstr("000002.png': 8x8 pixels, wanted 32x24 as the first frame has"));
  fs::remove(folder / "frames/000001.png");
  EXPECT_THAT(refusal(folder / "frames", {}),
              HasSubstr("000001.png': missing, but there are frames up to 000003.png"));
}

TEST(VideoReader, NoticesOfAFoldersFramesComeOnce) {
  const TemporaryFolder folder;
  for (const char* name : {"000000.png", "000001.png"})
    write_bytes(folder / name, golden_file("rgba8.png"));
  EXPECT_THAT(read(folder.path(), {.count = 2}).notices,
              ElementsAre(HasSubstr("000000.png': alpha is dropped")));
}

TEST(VideoReader, WhatIsNoFileIsRefusedWithoutWaiting) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(refusal(folder / "pipe", {}), HasSubstr("is not a regular file"));
  EXPECT_THAT(refusal("/dev/zero", {}), HasSubstr("is not a regular file"));
  EXPECT_THAT(refusal(folder / "none.mp4", {}), HasSubstr("No such file"));
  write_bytes(folder / "empty.mp4", "");
  EXPECT_THAT(refusal(folder / "empty.mp4", {}), HasSubstr("cannot open the video"));
}

TEST(VideoReader, ProgressCountsEveryFrameAndAStopIsTaken) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(6, kSize);
  write_lossless(folder / "a.mkv", frames);
  write_png_frames(folder / "frames", frames.view());
  for (const char* name : {"a.mkv", "frames"}) {
    std::vector<int64_t> done;
    std::atomic<int> stop = 0;
    Monitor monitor;
    monitor.stop_signal = &stop;
    monitor.on_progress = [&](const Progress& now) {
      EXPECT_EQ(now.total, 5);
      done.push_back(now.done);
    };
    read_video(folder / name, {.from = 2, .count = 3}, monitor);
    EXPECT_EQ(done.back(), 5) << name;
    EXPECT_GE(done.size(), 4U) << name;
    monitor.on_progress = [&](const Progress& now) { stop = now.done == 3 ? 2 : 0; };
    EXPECT_THROW(read_video(folder / name, {.from = 2, .count = 3}, monitor), Interrupted) << name;
  }
}

// Either a clear line or the frames of the whole file.
void expect_same_or_refused(const fs::path& path, const VideoSlice& slice,
                            const std::vector<uint8_t>& whole) {
  try {
    EXPECT_EQ(read_video(path, slice).frames.pixels, whole);
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
  }
}

TEST(VideoReader, FileThatWasCutOffGivesItsFramesOrADataError) {
  const TemporaryFolder folder;
  const VideoSlice slice{.from = 1, .count = 6};
  const Frames frames = moving_frames(8, kSize);
  for (const VideoCodec codec : {VideoCodec::kH264, VideoCodec::kFfv1}) {
    const fs::path path = folder / (codec == VideoCodec::kH264 ? "a.mp4" : "a.mkv");
    write_video(path, frames.view(), {.codec = codec});
    const std::vector<uint8_t> whole = read_video(path, slice).frames.pixels;
    const std::string file = read_bytes(path);
    for (size_t part = 0; part < 16; ++part) {
      SCOPED_TRACE(part);
      write_bytes(path, file.substr(0, file.size() * part / 16));
      expect_same_or_refused(path, slice, whole);
      if (part < 8) {
        EXPECT_NE(refusal(path, {.count = 8}), "");
      }
    }
  }
}

TEST(VideoReader, DamagedFrameIsADataErrorUnlessItComesAfterTheSlice) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(8, {64, 48});
  write_lossless(folder / "a.mkv", frames);
  std::string file = read_bytes(folder / "a.mkv");
  file[file.size() * 3 / 4] ^= 1;
  write_bytes(folder / "a.mkv", file);
  EXPECT_THAT(refusal(folder / "a.mkv", {.count = 8}),
              HasSubstr("is damaged (its checksum differs)"));
  EXPECT_EQ(read_video(folder / "a.mkv", {.count = 2}).frames.pixels, part_of(frames, 0, 2));
}

TEST(VideoReader, FlippedBytesGiveFramesOrADataError) {
  const TemporaryFolder folder;
  uint32_t state = 1;
  const auto random = [&](size_t below) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
  };
  for (const VideoCodec codec : {VideoCodec::kH264, VideoCodec::kFfv1}) {
    const fs::path path = folder / (codec == VideoCodec::kH264 ? "a.mp4" : "a.mkv");
    write_video(path, moving_frames(4, kSize).view(), {.codec = codec});
    const std::string whole = read_bytes(path);
    for (int attempt = 0; attempt < 150; ++attempt) {
      std::string file = whole;
      for (size_t i = 0; i <= random(4); ++i)
        file[random(file.size())] ^= static_cast<char>(1 << random(8));
      write_bytes(path, file);
      try {
        const Frames frames = read_video(path, {.count = 4}).frames;
        EXPECT_EQ(frames.pixels.size(), 4 * frames.size.bytes());
      } catch (const DataError& error) {
        EXPECT_THAT(error.what(), Not(HasSubstr("\n")));
      }
    }
  }
}

}  // namespace
}  // namespace cogvx::io::test
