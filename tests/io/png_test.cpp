#include "io/png.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "core/base/errors.h"
#include "tests/io/io_test_support.h"
#include "tests/support/test_paths.h"

namespace cogvx::io::test {
namespace {

namespace fs = std::filesystem;
using cogvx::test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;

// Files of one row, made by hand: grey 0 16 128 255; a palette with red and (10, 20, 30) half
// transparent; RGBA (1, 2, 3) opaque and (200, 100, 50) invisible.
constexpr std::array<uint8_t, 70> kGrey{
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
    0x44, 0x52, 0x00, 0x00, 0x00, 0x04, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00,
    0x00, 0xdc, 0x57, 0x50, 0x11, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x44, 0x41, 0x54, 0x78,
    0xda, 0x63, 0x60, 0x10, 0x68, 0xf8, 0x0f, 0x00, 0x02, 0x34, 0x01, 0x90, 0x65, 0x2c,
    0xd0, 0x01, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};
constexpr std::array<uint8_t, 100> kPalette{
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44,
    0x52, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x03, 0x00, 0x00, 0x00, 0xc3,
    0xfc, 0x8f, 0xb8, 0x00, 0x00, 0x00, 0x06, 0x50, 0x4c, 0x54, 0x45, 0xff, 0x00, 0x00, 0x0a,
    0x14, 0x1e, 0x98, 0x95, 0x7d, 0xe3, 0x00, 0x00, 0x00, 0x02, 0x74, 0x52, 0x4e, 0x53, 0xff,
    0x80, 0x08, 0x0f, 0xb3, 0x6a, 0x00, 0x00, 0x00, 0x0b, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda,
    0x63, 0x60, 0x60, 0x04, 0x00, 0x00, 0x04, 0x00, 0x02, 0x2c, 0xde, 0x48, 0xad, 0x00, 0x00,
    0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};
constexpr std::array<uint8_t, 74> kRgba{
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44,
    0x52, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x01, 0x08, 0x06, 0x00, 0x00, 0x00, 0xf4,
    0x22, 0x7f, 0x8a, 0x00, 0x00, 0x00, 0x11, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x60,
    0x64, 0x62, 0xfe, 0x7f, 0x22, 0xc5, 0x88, 0x01, 0x00, 0x09, 0xdc, 0x02, 0x64, 0xf5, 0xdb,
    0x60, 0x4a, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};
template <size_t kSize>
Image read_embedded(const std::array<uint8_t, kSize>& bytes) {
  const TemporaryFolder folder;
  write_bytes(folder / "a.png", std::string(bytes.begin(), bytes.end()));
  return read_png(folder / "a.png");
}

TEST(Png, ReadsBackEqualBytesAtAnySize) {
  const TemporaryFolder folder;
  const std::array sizes{FrameSize{1, 1}, FrameSize{3, 5}, FrameSize{17, 31}, FrameSize{128, 64},
                         FrameSize{721, 3}};
  for (const FrameSize size : sizes) {
    const Frames frames = moving_frames(1, size);
    write_png(folder / "a.png", frames.view()[0]);
    const Image image = read_png(folder / "a.png");
    EXPECT_EQ(image.size, size);
    EXPECT_EQ(image.pixels, frames.pixels) << size.width << "x" << size.height;
  }
}

TEST(Png, SamePixelsGiveTheSameBytes) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(1, {64, 48});
  write_png(folder / "a.png", frames.view()[0]);
  write_png(folder / "b.png", frames.view()[0]);
  EXPECT_EQ(read_bytes(folder / "a.png"), read_bytes(folder / "b.png"));
}

TEST(Png, GreyRunsFrom0To255) {
  EXPECT_THAT(read_embedded(kGrey).pixels,
              ElementsAre(0, 0, 0, 16, 16, 16, 128, 128, 128, 255, 255, 255));
}

TEST(Png, PaletteIsSpreadOut) {
  EXPECT_THAT(read_embedded(kPalette).pixels, ElementsAre(255, 0, 0, 10, 20, 30));
}

TEST(Png, AlphaIsDropped) {
  EXPECT_THAT(read_embedded(kRgba).pixels, ElementsAre(1, 2, 3, 200, 100, 50));
}

TEST(Png, MissingDamagedAndForeignFilesAreDataErrors) {
  const TemporaryFolder folder;
  EXPECT_THAT(message_of<DataError>([&] { read_png(folder / "none.png"); }),
              HasSubstr("No such file or directory"));
  write_png(folder / "a.png", moving_frames(1, {64, 48}).view()[0]);
  std::string bytes = read_bytes(folder / "a.png");
  write_bytes(folder / "cut.png", bytes.substr(0, bytes.size() / 2));
  EXPECT_THROW(read_png(folder / "cut.png"), DataError);
  constexpr size_t kHeaderChecksum = 29;
  bytes[kHeaderChecksum] ^= 1;
  write_bytes(folder / "flipped.png", bytes);
  EXPECT_THROW(read_png(folder / "flipped.png"), DataError);
  write_bytes(folder / "empty.png", "");
  EXPECT_THROW(read_png(folder / "empty.png"), DataError);
  write_bytes(folder / "text.png", "no picture at all");
  EXPECT_THROW(read_png(folder / "text.png"), DataError);
  EXPECT_THROW(read_png(folder.path()), DataError);
}

TEST(Png, FullDiskLeavesNoFile) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(1, {256, 256});
  const FileSizeLimit limit(64);
  EXPECT_THROW(write_png(folder / "a.png", frames.view()[0]), OutputError);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(PngFrames, AreNamedBySixDigitsFromZero) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(3, {16, 8});
  std::vector<int> done;
  write_png_frames(folder / "new/frames", frames.view(), [&](int i, int total) {
    done.push_back(i);
    EXPECT_EQ(total, 3);
  });
  EXPECT_THAT(file_names(folder / "new/frames"),
              ElementsAre("000000.png", "000001.png", "000002.png"));
  EXPECT_THAT(done, ElementsAre(1, 2, 3));
  std::vector<uint8_t> pixels;
  for (const char* name : {"000000.png", "000001.png", "000002.png"}) {
    const Image image = read_png(folder / "new/frames" / name);
    pixels.insert(pixels.end(), image.pixels.begin(), image.pixels.end());
  }
  EXPECT_EQ(pixels, frames.pixels);
}

TEST(PngFrames, FolderThatCannotBeMadeIsNamed) {
  const TemporaryFolder folder;
  write_bytes(folder / "file", "");
  EXPECT_THAT(message_of<OutputError>([&] {
                write_png_frames(folder / "file/frames", moving_frames(1, {8, 8}).view());
              }),
              HasSubstr((folder / "file/frames").string() + "': cannot make the folder"));
}

}  // namespace
}  // namespace cogvx::io::test
