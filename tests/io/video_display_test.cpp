#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "core/base/errors.h"
#include "io/video_reader.h"
#include "io/video_writer.h"
#include "tests/io/io_test_support.h"
#include "tests/support/test_paths.h"

namespace cogvx::io::test {
namespace {

namespace fs = std::filesystem;
using cogvx::test::TemporaryFolder;
using testing::HasSubstr;

constexpr FrameSize kSize{.width = 32, .height = 24};

// What the ffmpeg program makes of the video with its scaler in the precise mode, chroma sited
// left.
std::vector<uint8_t> by_ffmpeg(const fs::path& path,
                               const std::string& scale = "in_h_chr_pos=0:in_v_chr_pos=128:") {
  const std::string raw =
      output_of("ffmpeg -v error -i " + shell(path) + " -vf scale=" + scale +
                "flags=bicubic+full_chroma_inp+full_chroma_int+accurate_rnd+bitexact"
                " -pix_fmt rgb24 -f rawvideo -");
  return {raw.begin(), raw.end()};
}

double mean_difference(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  if (a.size() != b.size()) return 255;
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
  return sum / static_cast<double>(a.size());
}

TEST(VideoDisplay, ColoursFollowTheFilesMatrixAndRange) {
  const TemporaryFolder folder;
  const fs::path source = folder / "source.mkv";
  const Frames frames = moving_frames(2, {96, 64});
  write_lossless(source, frames);
  struct Tags {
    const char* matrix;
    const char* range;
    const char* format;
    const char* name;
  };
  for (const Tags& tags :
       {Tags{"bt709", "tv", "yuv444p", "bt709"}, Tags{"bt709", "pc", "yuv444p", "bt709"},
        Tags{"bt601", "tv", "yuv444p", "smpte170m"}, Tags{"bt601", "pc", "yuv444p", "smpte170m"},
        Tags{"bt2020", "tv", "yuv444p10le", "bt2020nc"}, Tags{"bt709", "tv", "yuv420p", "bt709"}}) {
    SCOPED_TRACE(std::string(tags.matrix) + " " + tags.range + " " + tags.format);
    const fs::path path = folder / "a.mkv";
    ffmpeg("-i " + shell(source) + " -c:v ffv1 -vf scale=out_color_matrix=" + tags.matrix +
           ":out_range=" + tags.range + ",format=" + tags.format + " -colorspace " + tags.name +
           " -color_range " + tags.range + " " + shell(path));
    const std::vector<uint8_t> pixels = read_video(path, {.count = 2}).frames.pixels;
    const bool full_chroma = std::string(tags.format).starts_with("yuv444");
    EXPECT_EQ(pixels, full_chroma ? by_ffmpeg(path, "") : by_ffmpeg(path));
    if (full_chroma) {
      EXPECT_LT(mean_difference(pixels, frames.pixels), 1.5);
    }
  }
}

// As ffmpeg, also where a player would take BT.709 for its height.
TEST(VideoDisplay, UntaggedColoursAreBt601Limited) {
  const TemporaryFolder folder;
  const fs::path source = folder / "source.mkv";
  const Frames flat = flat_frames(1, {1280, 720}, {200, 60, 30});
  write_lossless(source, flat);
  ffmpeg("-i " + shell(source) +
         " -c:v ffv1 -vf "
         "scale=out_color_matrix=bt601:out_range=tv,format=yuv444p,setparams=colorspace=unknown:"
         "range=unknown " +
         shell(folder / "a.mkv"));
  const Frames frames = read_video(folder / "a.mkv", {}).frames;
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(frames.pixels[i], flat.pixels[i], 2);
  EXPECT_EQ(frames.pixels, by_ffmpeg(folder / "a.mkv", ""));
}

// Writes the linear part of the display matrix into an MP4 of one track.
void turn_mp4(std::string& file, std::array<int, 4> abcd) {
  const size_t box = file.find("tkhd");
  ASSERT_NE(box, std::string::npos);
  constexpr size_t kMatrix = 44;
  constexpr std::array<size_t, 4> kPlaces{0, 4, 12, 16};
  for (size_t i = 0; i < 4; ++i) {
    const int32_t value = abcd[i] * (1 << 16);
    for (size_t byte = 0; byte < 4; ++byte) {
      file[box + kMatrix + kPlaces[i] + byte] = static_cast<char>(value >> (24 - 8 * byte));
    }
  }
}

TEST(VideoDisplay, EveryDisplayMatrixIsHonouredAsFfmpegDoes) {
  const TemporaryFolder folder;
  write_video(folder / "stored.mp4", moving_frames(2, kSize).view(), {});
  std::string file = read_bytes(folder / "stored.mp4");
  const std::array<std::array<int, 4>, 8> matrices{{{1, 0, 0, 1},
                                                    {-1, 0, 0, 1},
                                                    {-1, 0, 0, -1},
                                                    {1, 0, 0, -1},
                                                    {0, 1, 1, 0},
                                                    {0, 1, -1, 0},
                                                    {0, -1, -1, 0},
                                                    {0, -1, 1, 0}}};
  for (size_t i = 0; i < matrices.size(); ++i) {
    SCOPED_TRACE(i + 1);
    turn_mp4(file, matrices[i]);
    write_bytes(folder / "turned.mp4", file);
    const Frames frames = read_video(folder / "turned.mp4", {.count = 2}).frames;
    const FrameSize want = i < 4 ? kSize : FrameSize{kSize.height, kSize.width};
    EXPECT_EQ(frames.size, want);
    EXPECT_EQ(inspect_video(folder / "turned.mp4").size, want);
    // ffmpeg mirrors YUV before it converts, which rounds chroma between rows another way.
    const std::vector<uint8_t> reference = by_ffmpeg(folder / "turned.mp4");
    EXPECT_LT(mean_difference(frames.pixels, reference), 2);
  }
}

TEST(VideoDisplay, ObliqueDisplayMatrixIsRefused) {
  const TemporaryFolder folder;
  write_video(folder / "a.mp4", moving_frames(2, kSize).view(), {});
  std::string file = read_bytes(folder / "a.mp4");
  turn_mp4(file, {1, 1, -1, 1});
  write_bytes(folder / "a.mp4", file);
  EXPECT_THAT(message_of<DataError>([&] { read_video(folder / "a.mp4", {}); }),
              HasSubstr("turned by an angle that is no multiple of 90 degrees"));
}

}  // namespace
}  // namespace cogvx::io::test
