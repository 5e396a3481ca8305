#include "io/temporary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>

#include "core/base/errors.h"
#include "tests/io/io_test_support.h"
#include "tests/support/test_paths.h"

namespace cogvx::io::test {
namespace {

namespace fs = std::filesystem;
using cogvx::test::TemporaryFolder;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class TemporaryOfEveryKind : public testing::TestWithParam<TemporaryKind> {
 protected:
  Temporary make() const { return {GetParam(), folder_.path(), "out", folder_ / "out"}; }
  // A process that makes one and lives until it is killed.
  pid_t start_maker() const {
    return start_process([&] {
      const Temporary temporary = make();
      write_bytes(folder_ / "made", "");
      pause();
    });
  }
  void wait_until_made() const {
    while (!fs::exists(folder_ / "made")) usleep(1000);
    fs::remove(folder_ / "made");
  }
  static std::string name_for(pid_t pid) { return ".out.tmp-" + std::to_string(pid); }
  void put(const std::string& name) const {
    if (GetParam() == TemporaryKind::kFile) {
      write_bytes(folder_ / name, "left");
    } else {
      fs::create_directory(folder_ / name);
      write_bytes(folder_ / name / "000000.png", "left");
    }
  }

  TemporaryFolder folder_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, TemporaryOfEveryKind,
                         testing::Values(TemporaryKind::kFile, TemporaryKind::kFolder),
                         [](const auto& kind) {
                           return kind.param == TemporaryKind::kFile ? "File" : "Folder";
                         });

TEST_P(TemporaryOfEveryKind, GoesAwayWithTheObject) {
  {
    const Temporary temporary = make();
    EXPECT_THAT(file_names(folder_.path()), ElementsAre(name_for(getpid())));
    EXPECT_EQ(fs::is_directory(temporary.path()), GetParam() == TemporaryKind::kFolder);
  }
  EXPECT_THAT(file_names(folder_.path()), IsEmpty());
}

TEST_P(TemporaryOfEveryKind, ThatAKilledProcessLeftIsRemovedByTheNext) {
  const pid_t maker = start_maker();
  wait_until_made();
  kill(maker, SIGKILL);
  EXPECT_EQ(end_of(maker), 128 + SIGKILL);
  EXPECT_THAT(file_names(folder_.path()), ElementsAre(name_for(maker)));
  const Temporary next = make();
  EXPECT_THAT(file_names(folder_.path()), ElementsAre(name_for(getpid())));
}

TEST_P(TemporaryOfEveryKind, OfALivingProcessIsKept) {
  const pid_t maker = start_maker();
  wait_until_made();
  {
    const Temporary next = make();
    EXPECT_THAT(file_names(folder_.path()),
                UnorderedElementsAre(name_for(maker), name_for(getpid())));
  }
  EXPECT_THAT(file_names(folder_.path()), ElementsAre(name_for(maker)));
  kill(maker, SIGKILL);
  end_of(maker);
}

TEST_P(TemporaryOfEveryKind, TakesAnotherNameBesideALiveOneOfOurNumber) {
  // As two containers have it that share a folder, each with a process 1.
  const Temporary first = make();
  const Temporary second = make();
  EXPECT_EQ(second.path().filename(), name_for(getpid()) + "-1");
  EXPECT_THAT(file_names(folder_.path()),
              UnorderedElementsAre(name_for(getpid()), name_for(getpid()) + "-1"));
}

TEST_P(TemporaryOfEveryKind, OnlyItsOwnPatternIsTakenForAbandoned) {
  const std::vector<std::string> others = {
      ".out.tmp-", ".out.tmp-1-", ".out.tmp-1-x", ".out.tmp-x",  ".out.tmp-1x",
      "out.tmp-1", ".ou.tmp-1",   ".out.b.tmp-1", ".out.tmp-1.", ".out.tmp--1",
  };
  for (const std::string& name : others) put(name);
  put(".out.tmp-1");
  put(".out.tmp-22-3");
  const Temporary temporary = make();
  std::vector<std::string> kept = others;
  kept.push_back(name_for(getpid()));
  EXPECT_THAT(file_names(folder_.path()), testing::UnorderedElementsAreArray(kept));
}

TEST_P(TemporaryOfEveryKind, ThingsOfOtherKindsAreNeverRemoved) {
  const fs::path pipe = folder_ / ".out.tmp-1";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  fs::create_symlink("made", folder_ / ".out.tmp-2");
  if (GetParam() == TemporaryKind::kFile) {
    fs::create_directory(folder_ / ".out.tmp-3");
  } else {
    write_bytes(folder_ / ".out.tmp-3", "");
  }
  const Temporary temporary = make();
  EXPECT_EQ(file_names(folder_.path()).size(), 4U);
}

TEST_P(TemporaryOfEveryKind, IsMovable) {
  Temporary first = make();
  const fs::path path = first.path();
  Temporary second = std::move(first);
  EXPECT_EQ(second.path(), path);
  EXPECT_TRUE(fs::exists(path));
  second = make();
  EXPECT_NE(second.path(), path);
}

TEST_P(TemporaryOfEveryKind, KeptStaysAndIsUnlocked) {
  Temporary temporary = make();
  const fs::path path = temporary.path();
  temporary.keep();
  EXPECT_TRUE(fs::exists(path));
  const Temporary next = make();
  EXPECT_EQ(file_names(folder_.path()).size(), 1U);
}

TEST_P(TemporaryOfEveryKind, ManyMakersAtOnceNeverTakeEachOthers) {
  // Each sees its own thing under its name until it lets go, whatever the others clean up.
  std::vector<pid_t> makers;
  for (int i = 0; i < 8; ++i) {
    makers.push_back(start_process([&] {
      for (int round = 0; round < 300; ++round) {
        Temporary temporary = make();
        if (round % 2 == 0) usleep(200);
        if (!fs::exists(temporary.path())) _exit(1);
        // Killed, as far as the others can see: nobody holds it any more.
        if (round % 3 == 0) temporary.keep();
      }
    }));
  }
  for (const pid_t maker : makers) EXPECT_EQ(end_of(maker), 0);
  { const Temporary last = make(); }
  EXPECT_THAT(file_names(folder_.path()), IsEmpty());
}

TEST(Temporary, FolderThatIsMissingIsAnOutputError) {
  const TemporaryFolder folder;
  for (const TemporaryKind kind : {TemporaryKind::kFile, TemporaryKind::kFolder}) {
    const std::string message = message_of<OutputError>(
        [&] { const Temporary temporary(kind, folder / "missing", "out", folder / "shown"); });
    EXPECT_THAT(message, HasSubstr("'" + (folder / "shown").string() + "': cannot make a f"));
    EXPECT_THAT(message, HasSubstr("No such file or directory; make the folder first"));
  }
}

}  // namespace
}  // namespace cogvx::io::test
