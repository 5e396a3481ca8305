#include "io/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>

#include "core/base/errors.h"
#include "tests/io/io_test_support.h"
#include "tests/support/test_paths.h"

namespace cogvx::io::test {
namespace {

namespace fs = std::filesystem;
using cogvx::test::TemporaryFolder;
using testing::HasSubstr;

TEST(AtomicFile, HasItsNameOnlyAfterCommit) {
  const TemporaryFolder folder;
  AtomicFile file(folder / "a.txt");
  file.write("one ", 4);
  file.write("two", 3);
  EXPECT_FALSE(fs::exists(folder / "a.txt"));
  EXPECT_EQ(file.temporary_path().parent_path(), folder.path());
  file.commit();
  EXPECT_EQ(read_bytes(folder / "a.txt"), "one two");
  EXPECT_EQ(file_names(folder.path()), std::vector<std::string>{"a.txt"});
}

TEST(AtomicFile, WithoutCommitLeavesNothingAndTheOldFileAsItWas) {
  const TemporaryFolder folder;
  write_bytes(folder / "old.txt", "old");
  {
    AtomicFile file(folder / "old.txt");
    file.write("new", 3);
    AtomicFile fresh(folder / "fresh.txt");
    fresh.write("new", 3);
    EXPECT_EQ(file_names(folder.path()).size(), 3U);
  }
  EXPECT_EQ(file_names(folder.path()), std::vector<std::string>{"old.txt"});
  EXPECT_EQ(read_bytes(folder / "old.txt"), "old");
}

TEST(AtomicFile, FullDiskIsAnOutputErrorAndLeavesNothing) {
  const TemporaryFolder folder;
  const std::string text(10000, 'x');
  const FileSizeLimit limit(4096);
  const std::string message =
      message_of<OutputError>([&] { write_text_file(folder / "a.txt", text); });
  EXPECT_THAT(message, HasSubstr((folder / "a.txt").string()));
  EXPECT_THAT(message, HasSubstr("File too large; make room there"));
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(AtomicFile, FollowsALinkInsteadOfReplacingIt) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "real");
  write_bytes(folder / "real/a.txt", "old");
  fs::create_symlink(folder / "real/a.txt", folder / "link.txt");
  write_text_file(folder / "link.txt", "new");
  EXPECT_TRUE(fs::is_symlink(folder / "link.txt"));
  EXPECT_EQ(read_bytes(folder / "real/a.txt"), "new");
}

TEST(AtomicFile, OfAKilledProcessLeavesNothingBesideTheNext) {
  const TemporaryFolder folder;
  const pid_t killed = start_process([&] {
    AtomicFile file(folder / "a.txt");
    file.write("half", 4);
    raise(SIGKILL);
  });
  EXPECT_EQ(end_of(killed), 128 + SIGKILL);
  EXPECT_EQ(file_names(folder.path()),
            std::vector<std::string>{".a.txt.tmp-" + std::to_string(killed)});
  write_text_file(folder / "a.txt", "whole");
  EXPECT_EQ(file_names(folder.path()), std::vector<std::string>{"a.txt"});
  EXPECT_EQ(read_bytes(folder / "a.txt"), "whole");
}

TEST(AtomicFile, FolderThatVanishesBeforeCommitIsAnOutputError) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "gone");
  AtomicFile file(folder / "gone/a.txt");
  fs::remove_all(folder / "gone");
  const std::string message = message_of<OutputError>([&] { file.commit(); });
  EXPECT_THAT(message, HasSubstr((folder / "gone/a.txt").string() + "': cannot rename"));
  EXPECT_THAT(message, HasSubstr("No such file or directory; make the folder first"));
}

TEST(AtomicFile, RefusesAPipe) {
  const TemporaryFolder folder;
  const fs::path pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THROW(write_text_file(pipe, "text"), UsageError);
  EXPECT_THROW(check_writable(pipe, /*overwrite=*/true), UsageError);
  EXPECT_TRUE(fs::is_fifo(pipe));
}

TEST(WriteTextFile, ReplacesTheWholeText) {
  const TemporaryFolder folder;
  write_text_file(folder / "a.txt", "a long first text");
  write_text_file(folder / "a.txt", "short");
  EXPECT_EQ(read_bytes(folder / "a.txt"), "short");
}

TEST(CheckWritable, LeavesNoTrace) {
  const TemporaryFolder folder;
  check_writable(folder / "a.mp4", /*overwrite=*/false);
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(CheckWritable, ExistingFileNeedsOverwriteAndStaysUntouched) {
  const TemporaryFolder folder;
  const fs::path path = folder / "a.mp4";
  write_bytes(path, "precious");
  EXPECT_EQ(message_of<UsageError>([&] { check_writable(path, /*overwrite=*/false); }),
            "'" + path.string() + "' exists; pass --overwrite to replace it");
  check_writable(path, /*overwrite=*/true);
  EXPECT_EQ(read_bytes(path), "precious");
}

TEST(CheckWritable, MissingFolderIsNamedWithACure) {
  const TemporaryFolder folder;
  const fs::path path = folder / "missing/a.mp4";
  const std::string message =
      message_of<OutputError>([&] { check_writable(path, /*overwrite=*/false); });
  EXPECT_THAT(message, HasSubstr("'" + path.string() + "'"));
  EXPECT_THAT(message, HasSubstr("No such file or directory; make the folder first"));
  EXPECT_EQ(message.find('\n'), std::string::npos);
}

TEST(CheckWritable, PathsTooLongAreOutputErrors) {
  const TemporaryFolder folder;
  std::string deep = folder.path().string();
  while (deep.size() < 5000) deep += "/folder";
  const std::string wide = (folder / std::string(300, 'x')).string();
  for (const std::string& path : {deep, wide, wide + "/a.mp4"}) {
    for (const bool overwrite : {false, true}) {
      EXPECT_THAT(message_of<OutputError>([&] { check_writable(path, overwrite); }),
                  HasSubstr("File name too long; choose a shorter name"));
    }
  }
}

TEST(CheckWritable, ReadOnlyFolderIsNamedWithACure) {
  const TemporaryFolder folder;
  fs::permissions(folder.path(), static_cast<fs::perms>(0555));
  const fs::path path = folder / "a.mp4";
  const WithoutRootRights rights;
  const std::string message =
      message_of<OutputError>([&] { check_writable(path, /*overwrite=*/false); });
  EXPECT_THAT(message, HasSubstr("'" + path.string() + "'"));
  EXPECT_THAT(message, HasSubstr("Permission denied; choose a folder you may write to"));
}

TEST(CheckWritable, RefusesAFolderAndAnEmptyName) {
  const TemporaryFolder folder;
  EXPECT_THROW(check_writable(folder.path(), /*overwrite=*/true), UsageError);
  EXPECT_THROW(check_writable(folder.path() / "", /*overwrite=*/true), UsageError);
  EXPECT_THROW(check_writable("", /*overwrite=*/true), UsageError);
}

}  // namespace
}  // namespace cogvx::io::test
