// What holds for the video files of every codec, seen by this folder's reader and by ffmpeg's
// programs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <sstream>

#include "core/base/errors.h"
#include "io/video_info.h"
#include "io/video_writer.h"
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
constexpr std::array kRates{FrameRate{8, 1}, FrameRate{25, 2}, FrameRate{24000, 1001},
                            FrameRate{30000, 1001}};

std::string text_of(FrameRate rate) {
  return std::to_string(rate.numerator) + "/" + std::to_string(rate.denominator);
}

class VideoOfEveryCodec : public testing::TestWithParam<VideoCodec> {
 protected:
  static VideoSettings settings() { return {.codec = GetParam()}; }
  fs::path path() const { return folder_ / (std::string("a") + codec_extension(GetParam())); }
  std::string written_bytes(const Frames& frames, const VideoSettings& settings) const {
    write_video(path(), frames.view(), settings);
    return read_bytes(path());
  }
  // The entries in the order of the file, one a line: `stream=pix_fmt` gives "yuv420p\n".
  std::string probe(const std::string& entries) const {
    return output_of("ffprobe -v error -count_frames -select_streams v:0 -of default=nw=1:nk=1 " +
                     std::string("-show_entries ") + entries + " '" + path().string() + "'");
  }

  TemporaryFolder folder_;
};

#define SKIP_WITHOUT(program) \
  if (!has_program(program)) GTEST_SKIP() << "no program " program " here"

INSTANTIATE_TEST_SUITE_P(Codecs, VideoOfEveryCodec,
                         testing::Values(VideoCodec::kH264, VideoCodec::kHevc, VideoCodec::kFfv1),
                         [](const auto& codec) { return std::string(codec_name(codec.param)); });

TEST_P(VideoOfEveryCodec, IsFoundByItsName) {
  EXPECT_EQ(codec_of_name(codec_name(GetParam())), GetParam());
  EXPECT_EQ(codec_of_name("h265"), std::nullopt);
  EXPECT_EQ(codec_of_name(""), std::nullopt);
}

TEST_P(VideoOfEveryCodec, OurReaderSeesFormatAndColours) {
  write_video(path(), moving_frames(9, kSize).view(), settings());
  const VideoInfo info = read_video_info(path());
  const bool rgb = GetParam() == VideoCodec::kFfv1;
  EXPECT_EQ(info.codec, codec_name(GetParam()));
  EXPECT_EQ(info.pixel_format, rgb ? "bgr0" : "yuv420p");
  EXPECT_EQ(info.color_primaries, "bt709");
  EXPECT_EQ(info.color_transfer, "bt709");
  EXPECT_EQ(info.color_space, rgb ? "gbr" : "bt709");
  EXPECT_EQ(info.color_range, rgb ? "pc" : "tv");
  EXPECT_EQ(info.size, kSize);
}

TEST_P(VideoOfEveryCodec, FfprobeSeesFormatAndColours) {
  SKIP_WITHOUT("ffprobe");
  write_video(path(), moving_frames(9, kSize).view(), settings());
  const std::string seen = probe(
      "stream=codec_name,codec_tag_string,width,height,sample_aspect_ratio,pix_fmt,"
      "color_range,color_space,color_transfer,color_primaries,nb_read_frames");
  const char* wanted = GetParam() == VideoCodec::kH264
                           ? "h264\navc1\n96\n64\n1:1\nyuv420p\ntv\nbt709\nbt709\nbt709\n9\n"
                       : GetParam() == VideoCodec::kHevc
                           ? "hevc\nhvc1\n96\n64\n1:1\nyuv420p\ntv\nbt709\nbt709\nbt709\n9\n"
                           : "ffv1\nFFV1\n96\n64\n1:1\nbgr0\npc\ngbr\nbt709\nbt709\n9\n";
  EXPECT_EQ(seen, wanted);
}

TEST_P(VideoOfEveryCodec, KeepsEveryFrameAndTheExactFrameRate) {
  VideoSettings video = settings();
  for (const FrameRate rate : kRates) {
    video.frame_rate = rate;
    for (const int count : {1, 2, 9, 49}) {
      write_video(path(), moving_frames(count, kSize).view(), video);
      const VideoInfo info = read_video_info(path());
      EXPECT_EQ(info.frame_count, count);
      EXPECT_EQ(info.frame_rate, rate) << count << " frames: " << text_of(info.frame_rate);
      EXPECT_NEAR(info.duration_seconds, double(count) * rate.denominator / rate.numerator, 1e-3);
      EXPECT_EQ(read_video_frames(path()).count, count);
    }
  }
}

TEST_P(VideoOfEveryCodec, FfprobeSeesTheExactFrameRateAndEveryTimestamp) {
  SKIP_WITHOUT("ffprobe");
  VideoSettings video = settings();
  for (const FrameRate rate : kRates) {
    video.frame_rate = rate;
    write_video(path(), moving_frames(49, kSize).view(), video);
    EXPECT_EQ(probe("stream=r_frame_rate,avg_frame_rate"),
              text_of(rate) + "\n" + text_of(rate) + "\n");
    std::istringstream times(probe("frame=pts_time"));
    // Matroska counts in milliseconds; ffprobe prints six digits.
    const double tolerance = GetParam() == VideoCodec::kFfv1 ? 0.51e-3 : 1e-6;
    int count = 0;
    for (double time = 0; times >> time; ++count) {
      EXPECT_NEAR(time, double(count) * rate.denominator / rate.numerator, tolerance);
    }
    EXPECT_EQ(count, 49);
  }
}

TEST_P(VideoOfEveryCodec, MetadataIsWritten) {
  const std::map<std::string, std::string> metadata{
      {"comment", "ein Hund, \"groß\"" + std::string(20000, 'p')}, {"cogvx_request", "{}"}};
  VideoSettings video = settings();
  video.metadata = metadata;
  write_video(path(), moving_frames(1, kSize).view(), video);
  EXPECT_EQ(read_video_info(path()).metadata, metadata);
  SKIP_WITHOUT("ffprobe");
  EXPECT_EQ(probe("format_tags=comment"), metadata.at("comment") + "\n");
}

TEST_P(VideoOfEveryCodec, NoMetadataMeansNoneAndNoVersionOfALibrary) {
  const std::string bytes = written_bytes(moving_frames(3, kSize), settings());
  EXPECT_THAT(read_video_info(path()).metadata, IsEmpty());
  // Matroska demands the name of a program, "Lavf"; versions hold digits and points.
  EXPECT_EQ(bytes.find("Lavf5"), std::string::npos);
  EXPECT_EQ(bytes.find("Lavc"), std::string::npos);
  EXPECT_EQ(bytes.find("x265"), std::string::npos);
}

TEST_P(VideoOfEveryCodec, SameFramesTwiceGiveTheSameBytesWhateverTheMemoryHeld) {
  const Frames frames = moving_frames(30, {.width = 176, .height = 144});
  VideoSettings video = settings();
  video.metadata = {{"comment", "{\"seed\": 42}"}, {"seed", "42"}};
  const std::string first = written_bytes(frames, video);
  for (const int filler : {0x55, 0xc8}) {
    mallopt(M_PERTURB, filler);
    EXPECT_TRUE(written_bytes(frames, video) == first) << "memory filled with " << filler;
  }
  mallopt(M_PERTURB, 0);
}

TEST_P(VideoOfEveryCodec, EncoderThreadsChangeTheBytesOfH264Alone) {
  // High enough for x264 to use all threads, wide enough for x265 to go in wave fronts.
  const Frames frames = moving_frames(5, {.width = 256, .height = 512});
  VideoSettings video = settings();
  video.encoder_threads = 1;
  const std::string one = written_bytes(frames, video);
  for (const int threads : {2, 4, 13}) {
    video.encoder_threads = threads;
    EXPECT_EQ(written_bytes(frames, video) == one, GetParam() != VideoCodec::kH264) << threads;
  }
}

TEST_P(VideoOfEveryCodec, CommitAloneGivesItsName) {
  const Frames frames = moving_frames(3, kSize);
  {
    const AtomicFile dropped = encode_video(path(), frames.view(), settings());
    EXPECT_EQ(file_names(folder_.path()).size(), 1U);
    EXPECT_FALSE(fs::exists(path()));
  }
  EXPECT_THAT(file_names(folder_.path()), IsEmpty());
  AtomicFile file = encode_video(path(), frames.view(), settings());
  file.commit();
  EXPECT_THAT(file_names(folder_.path()), ElementsAre(path().filename().string()));
  EXPECT_EQ(read_video_info(path()).frame_count, 3);
}

TEST_P(VideoOfEveryCodec, FolderThatVanishesBeforeCommitIsAnOutputError) {
  const fs::path gone = folder_ / "gone";
  fs::create_directory(gone);
  AtomicFile file =
      encode_video(gone / path().filename(), moving_frames(3, kSize).view(), settings());
  fs::remove_all(gone);
  EXPECT_THAT(message_of<OutputError>([&] { file.commit(); }),
              HasSubstr("No such file or directory; make the folder first"));
}

TEST_P(VideoOfEveryCodec, FullDiskIsAnOutputErrorAndLeavesNothing) {
  const Frames frames = moving_frames(30, {.width = 320, .height = 240});
  VideoSettings video = settings();
  video.crf = 0;
  const size_t whole_size = written_bytes(frames, video).size();
  fs::remove(path());
  // Full at once, amid the frames, and only when the file is finished.
  for (const size_t limit_bytes : {size_t{16}, whole_size / 2, whole_size - 16}) {
    const FileSizeLimit limit(limit_bytes);
    const std::string message =
        message_of<OutputError>([&] { write_video(path(), frames.view(), video); });
    EXPECT_THAT(message, HasSubstr(path().string())) << limit_bytes;
    EXPECT_THAT(message, HasSubstr("File too large; make room there")) << limit_bytes;
    EXPECT_THAT(file_names(folder_.path()), IsEmpty());
  }
}

TEST_P(VideoOfEveryCodec, RunThatSigxfszKilledIsCleanedUpByTheNext) {
  const Frames frames = moving_frames(30, {.width = 320, .height = 240});
  const pid_t killed = start_process([&] {
    const FileSizeLimit limit(4096);
    std::signal(SIGXFSZ, SIG_DFL);
    write_video(path(), frames.view(), settings());
  });
  EXPECT_EQ(end_of(killed), 128 + SIGXFSZ);
  EXPECT_EQ(file_names(folder_.path()).size(), 1U);
  write_video(path(), frames.view(), settings());
  EXPECT_THAT(file_names(folder_.path()), ElementsAre(path().filename().string()));
}

TEST_P(VideoOfEveryCodec, OtherExtensionIsRefusedAndTheRightOneNamed) {
  const std::string extension = codec_extension(GetParam());
  const std::string wrong = extension == ".mp4" ? "v.mkv" : "v.mp4";
  EXPECT_EQ(message_of<UsageError>([&] { check_video(wrong, kSize, settings()); }),
            "'" + wrong + "': " + codec_name(GetParam()) + " video in a file that ends in '" +
                wrong.substr(1) + "'; wanted a name that ends in " + extension);
}

TEST_P(VideoOfEveryCodec, CrfIsCheckedWhereThereIsOne) {
  VideoSettings video = settings();
  video.crf = 52;
  const std::string message = message_of<UsageError>([&] { check_video(path(), kSize, video); });
  EXPECT_EQ(message, codec_has_crf(GetParam()) ? "crf 52; wanted 0 to 51" : "");
  EXPECT_EQ(codec_has_crf(GetParam()), GetParam() != VideoCodec::kFfv1);
}

TEST(Ffv1Video, GivesBackEveryByteAtEverySizeItTakes) {
  const TemporaryFolder folder;
  const bool ffmpeg = has_program("ffmpeg");
  const std::array sizes{
      FrameSize{3, 3},   FrameSize{3, 5},   FrameSize{4, 3},     FrameSize{17, 31},
      FrameSize{400, 3}, FrameSize{3, 400}, FrameSize{721, 301}, kSize};
  for (const FrameSize size : sizes) {
    const Frames frames = moving_frames(3, size);
    const std::string path = (folder / "a.mkv").string();
    write_video(path, frames.view(), {.codec = VideoCodec::kFfv1});
    const Frames read = read_video_frames(path);
    EXPECT_EQ(read.size, size);
    EXPECT_TRUE(read.pixels == frames.pixels) << size.width << "x" << size.height;
    if (!ffmpeg) continue;
    const std::string decoded =
        output_of("ffmpeg -v error -i '" + path + "' -pix_fmt rgb24 -f rawvideo -");
    EXPECT_TRUE(std::equal(decoded.begin(), decoded.end(), frames.pixels.begin(),
                           frames.pixels.end(),
                           [](char a, uint8_t b) { return static_cast<uint8_t>(a) == b; }))
        << size.width << "x" << size.height;
  }
  if (!ffmpeg) GTEST_SKIP() << "no program ffmpeg here; checked with our own reader alone";
}

TEST(Ffv1Video, SizesThatLibavGetsWrongAreRefused) {
  const VideoSettings settings{.codec = VideoCodec::kFfv1};
  for (const FrameSize size : {FrameSize{2, 64}, FrameSize{64, 2}, FrameSize{0, 64}}) {
    EXPECT_THAT(message_of<UsageError>([&] { check_video("a.mkv", size, settings); }),
                HasSubstr("pixels; wanted 3x3 pixels or more"));
  }
  check_video("a.mkv", {3, 3}, settings);
}

TEST(HevcVideo, TimesOfTheShortestVideosDoNotDependOnOldMemory) {
  // x265's own decoding times went wrong in three of a thousand such videos.
  const TemporaryFolder folder;
  const VideoSettings settings{.codec = VideoCodec::kHevc};
  const std::string path = (folder / "a.mp4").string();
  for (const int count : {1, 2, 3}) {
    const Frames frames = moving_frames(count, kSize);
    write_video(path, frames.view(), settings);
    const std::string first = read_bytes(path);
    for (int round = 0; round < 20; ++round) {
      write_video(path, frames.view(), settings);
      EXPECT_TRUE(read_bytes(path) == first) << count << " frames";
    }
    if (!has_program("ffprobe")) continue;
    std::istringstream times(output_of("ffprobe -v error -show_entries packet=dts -of csv=p=0 '" +
                                       path + "' | tr -d ,"));
    constexpr int kTicksPerFrame = 2048;
    int64_t time = 0;
    for (int i = 0; times >> time; ++i) EXPECT_EQ(time, (i - 2) * kTicksPerFrame);
  }
}

TEST(HevcVideo, SizesThatX265GetsWrongAreRefused) {
  const VideoSettings settings{.codec = VideoCodec::kHevc};
  for (const FrameSize size : {FrameSize{64, 64}, FrameSize{16, 64}, FrameSize{96, 14}}) {
    EXPECT_THAT(message_of<UsageError>([&] { check_video("a.mp4", size, settings); }),
                HasSubstr("wanted 66x16 pixels or more, width and height multiples of 2"));
  }
  check_video("a.mp4", {66, 16}, settings);
}

}  // namespace
}  // namespace cogvx::io::test
