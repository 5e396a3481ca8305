#include "io/frames_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "core/base/errors.h"
#include "io/png.h"
#include "tests/io/io_test_support.h"
#include "tests/support/test_paths.h"

namespace cogvx::io::test {
namespace {

namespace fs = std::filesystem;
using cogvx::test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr FrameSize kSize{.width = 16, .height = 8};

std::string temporary_name(const std::string& name, pid_t pid) {
  return "." + name + ".tmp-" + std::to_string(pid);
}

std::vector<uint8_t> pixels_in(const fs::path& folder, int count) {
  std::vector<uint8_t> pixels;
  for (int i = 0; i < count; ++i) {
    const Image image = read_png(folder / ("00000" + std::to_string(i) + ".png"));
    pixels.insert(pixels.end(), image.pixels.begin(), image.pixels.end());
  }
  return pixels;
}

TEST(PngFrames, AreNamedBySixDigitsFromZero) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(3, kSize);
  std::vector<int> done;
  write_png_frames(folder / "new/frames", frames.view(), [&](int i, int total) {
    done.push_back(i);
    EXPECT_EQ(total, 3);
  });
  EXPECT_THAT(file_names(folder / "new"), ElementsAre("frames"));
  EXPECT_THAT(file_names(folder / "new/frames"),
              ElementsAre("000000.png", "000001.png", "000002.png"));
  EXPECT_THAT(done, ElementsAre(1, 2, 3));
  EXPECT_EQ(pixels_in(folder / "new/frames", 3), frames.pixels);
}

TEST(FramesFolder, HasItsNameOnlyAfterCommit) {
  const TemporaryFolder folder;
  FramesFolder output(folder / "frames");
  output.write(moving_frames(2, kSize).view());
  EXPECT_THAT(file_names(folder.path()), ElementsAre(temporary_name("frames", getpid())));
  output.commit();
  EXPECT_THAT(file_names(folder.path()), ElementsAre("frames"));
}

TEST(FramesFolder, WithoutCommitLeavesEverythingAsItWas) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(1, kSize);
  write_png_frames(folder / "old", frames.view());
  for (const char* name : {"old", "new"}) {
    FramesFolder output(folder / name);
    output.write(flat_frames(2, kSize, {1, 2, 3}).view());
  }
  EXPECT_THAT(file_names(folder.path()), ElementsAre("old"));
  EXPECT_THAT(file_names(folder / "old"), ElementsAre("000000.png"));
  EXPECT_EQ(pixels_in(folder / "old", 1), frames.pixels);
}

TEST(FramesFolder, CommitBeforeWriteNeverEmptiesAFolder) {
  const TemporaryFolder folder;
  write_png_frames(folder / "frames", moving_frames(1, kSize).view());
  EXPECT_THROW(FramesFolder(folder / "frames").commit(), std::logic_error);
  EXPECT_THAT(file_names(folder / "frames"), ElementsAre("000000.png"));
}

TEST(FramesFolder, OldFramesGoAndEveryOtherFileStays) {
  const TemporaryFolder folder;
  write_png_frames(folder / "frames", flat_frames(5, kSize, {9, 9, 9}).view());
  const std::vector<std::string> others = {"0000004.png", "00004.png",    "000004.PNG",
                                           "000004.jpg",  "000004.png.x", "00009a.png",
                                           "a000004.png", "notes.txt",    "+00004.png"};
  for (const std::string& name : others) write_bytes(folder / "frames" / name, "mine");
  fs::create_directory(folder / "frames/000099.png");
  const Frames frames = moving_frames(2, kSize);
  write_png_frames(folder / "frames", frames.view());
  std::vector<std::string> kept = others;
  kept.insert(kept.end(), {"000000.png", "000001.png", "000099.png"});
  EXPECT_THAT(file_names(folder / "frames"), testing::UnorderedElementsAreArray(kept));
  for (const std::string& name : others) EXPECT_EQ(read_bytes(folder / "frames" / name), "mine");
  EXPECT_EQ(pixels_in(folder / "frames", 2), frames.pixels);
}

TEST(FramesFolder, FilesThatComeIntoTheTargetMeanwhileStay) {
  const TemporaryFolder folder;
  FramesFolder output(folder / "frames");
  output.write(moving_frames(1, kSize).view());
  fs::create_directory(folder / "frames");
  write_bytes(folder / "frames/notes.txt", "mine");
  output.commit();
  EXPECT_THAT(file_names(folder / "frames"), ElementsAre("000000.png", "notes.txt"));
}

TEST(FramesFolder, EmptyTargetKeepsItsRights) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "frames");
  fs::permissions(folder / "frames", static_cast<fs::perms>(02775));
  write_png_frames(folder / "frames", moving_frames(1, kSize).view());
  EXPECT_EQ(fs::status(folder / "frames").permissions(), static_cast<fs::perms>(02775));
  EXPECT_THAT(file_names(folder / "frames"), ElementsAre("000000.png"));
}

TEST(FramesFolder, SomebodyElsesEmptyFolderIsFilledAndNotReplaced) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can make a folder of somebody else's";
  const TemporaryFolder folder;
  fs::create_directory(folder / "frames");
  constexpr uid_t kNobody = 65534;
  ASSERT_EQ(chown((folder / "frames").c_str(), kNobody, kNobody), 0);
  check_frames_folder(folder / "frames", /*overwrite=*/false);
  write_png_frames(folder / "frames", moving_frames(1, kSize).view());
  struct stat status {};
  ASSERT_EQ(stat((folder / "frames").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, kNobody);
  EXPECT_THAT(file_names(folder / "frames"), ElementsAre("000000.png"));
}

TEST(FramesFolder, EmptyFolderInAParentWeMayNotWriteIsFilled) {
  const TemporaryFolder folder;
  fs::permissions(folder.path(), fs::perms::all);
  {
    const WithoutRootRights rights;
    fs::create_directory(folder / "frames");
  }
  fs::permissions(folder.path(), static_cast<fs::perms>(0555));
  {
    const WithoutRootRights rights;
    check_frames_folder(folder / "frames", /*overwrite=*/false);
    write_png_frames(folder / "frames", moving_frames(1, kSize).view());
  }
  EXPECT_THAT(file_names(folder / "frames"), ElementsAre("000000.png"));
}

TEST(FramesFolder, FollowsALinkAndTakesASlashAtTheEnd) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "real");
  fs::create_symlink("real", folder / "link");
  write_png_frames(folder / "link", moving_frames(1, kSize).view());
  EXPECT_TRUE(fs::is_symlink(folder / "link"));
  EXPECT_THAT(file_names(folder / "real"), ElementsAre("000000.png"));
  write_png_frames(folder / "slash/", moving_frames(1, kSize).view());
  EXPECT_THAT(file_names(folder.path()), ElementsAre("link", "real", "slash"));
}

TEST(FramesFolder, OfAKilledProcessLeavesNothingBesideTheNext) {
  const TemporaryFolder folder;
  write_png_frames(folder / "full", moving_frames(1, kSize).view());
  for (const char* name : {"new", "full"}) {
    const pid_t killed = start_process([&] {
      FramesFolder output(folder / name);
      output.write(moving_frames(2, kSize).view());
      raise(SIGKILL);
    });
    EXPECT_EQ(end_of(killed), 128 + SIGKILL);
    const fs::path place = name == std::string("new") ? folder.path() : folder / "full";
    EXPECT_TRUE(fs::exists(place / temporary_name(name, killed)));
    write_png_frames(folder / name, moving_frames(1, kSize).view());
    EXPECT_THAT(file_names(folder / name), ElementsAre("000000.png"));
  }
  EXPECT_THAT(file_names(folder.path()), ElementsAre("full", "new"));
}

TEST(FramesFolder, FolderThatVanishesBeforeCommitIsAnOutputError) {
  const TemporaryFolder folder;
  FramesFolder fresh(folder / "gone/frames");
  fresh.write(moving_frames(1, kSize).view());
  fs::remove_all(folder / "gone");
  EXPECT_THAT(message_of<OutputError>([&] { fresh.commit(); }),
              HasSubstr((folder / "gone/frames").string() + "': cannot rename"));
  write_png_frames(folder / "full", moving_frames(1, kSize).view());
  FramesFolder again(folder / "full");
  again.write(moving_frames(1, kSize).view());
  fs::remove_all(folder / "full");
  EXPECT_THAT(message_of<OutputError>([&] { again.commit(); }),
              HasSubstr((folder / "full/000000.png").string() + "': cannot move"));
}

TEST(FramesFolder, FullDiskIsAnOutputErrorAndLeavesNothing) {
  const TemporaryFolder folder;
  const Frames frames = moving_frames(2, {256, 256});
  const FileSizeLimit limit(64);
  const std::string message =
      message_of<OutputError>([&] { write_png_frames(folder / "frames", frames.view()); });
  EXPECT_THAT(message, HasSubstr((folder / "frames/000000.png").string() + "': cannot write"));
  EXPECT_THAT(message, HasSubstr("File too large; make room there"));
  EXPECT_THAT(file_names(folder.path()), IsEmpty());
}

TEST(FramesFolder, RefusesNoFramesAndNoFolder) {
  const TemporaryFolder folder;
  EXPECT_THROW(write_png_frames(folder / "frames", {.pixels = nullptr, .count = 0, .size = kSize}),
               UsageError);
  write_bytes(folder / "file", "");
  EXPECT_THROW(FramesFolder(folder / "file"), UsageError);
  EXPECT_THAT(message_of<OutputError>([&] { FramesFolder(folder / "file/frames"); }),
              HasSubstr((folder / "file/frames").string() + "': cannot make the folder"));
  EXPECT_THAT(file_names(folder.path()), ElementsAre("file"));
}

TEST(CheckFramesFolder, LeavesNoTrace) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "empty");
  for (const char* name : {"empty", "new", "new/deep/frames", "slash/"}) {
    check_frames_folder(folder / name, /*overwrite=*/false);
  }
  EXPECT_THAT(file_names(folder.path()), ElementsAre("empty"));
  EXPECT_THAT(file_names(folder / "empty"), IsEmpty());
}

TEST(CheckFramesFolder, FolderThatHoldsFilesNeedsOverwrite) {
  const TemporaryFolder folder;
  write_bytes(folder / "notes.txt", "mine");
  EXPECT_EQ(
      message_of<UsageError>([&] { check_frames_folder(folder.path(), false); }),
      "'" + folder.path().string() + "' holds files; pass --overwrite to replace the frames in it");
  check_frames_folder(folder.path(), /*overwrite=*/true);
  EXPECT_THAT(file_names(folder.path()), ElementsAre("notes.txt"));
}

TEST(CheckFramesFolder, RefusesWhatIsNoFolder) {
  const TemporaryFolder folder;
  write_bytes(folder / "file", "");
  fs::create_symlink("nowhere", folder / "link");
  for (const bool overwrite : {false, true}) {
    const auto refusal = [&](const fs::path& path) {
      return message_of<UsageError>([&] { check_frames_folder(path, overwrite); });
    };
    EXPECT_THAT(refusal(folder / "file"), HasSubstr("is no folder, wanted a folder"));
    EXPECT_THAT(refusal(folder / "link"), HasSubstr("is a link to nothing, wanted a folder"));
    EXPECT_THAT(refusal(""), HasSubstr("names no folder"));
  }
}

TEST(CheckFramesFolder, PlaceThatCannotBeWrittenIsAnOutputError) {
  const TemporaryFolder folder;
  write_bytes(folder / "file", "");
  fs::create_directory(folder / "full");
  write_bytes(folder / "full/notes.txt", "mine");
  fs::permissions(folder.path(), static_cast<fs::perms>(0555));
  std::string deep = folder.path().string();
  while (deep.size() < 5000) deep += "/folder";
  const std::string wide = (folder / std::string(300, 'x')).string();
  const WithoutRootRights rights;
  const auto refusal = [&](const fs::path& path) {
    return message_of<OutputError>([&] { check_frames_folder(path, /*overwrite=*/true); });
  };
  EXPECT_THAT(refusal(folder / "new"), HasSubstr("Permission denied; choose a folder"));
  EXPECT_THAT(refusal(folder / "new/deep"), HasSubstr("Permission denied; choose a folder"));
  EXPECT_THAT(refusal(folder / "full"), HasSubstr("Permission denied; choose a folder"));
  EXPECT_THAT(refusal(folder / "file/new"), HasSubstr("Not a directory; make the folder"));
  for (const std::string& path : {deep, wide, wide + "/frames"}) {
    EXPECT_THAT(refusal(path), HasSubstr("File name too long; choose a shorter name"));
    EXPECT_THROW(FramesFolder{path}, OutputError);
  }
}

}  // namespace
}  // namespace cogvx::io::test
