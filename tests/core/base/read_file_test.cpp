#include "core/base/read_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/core/weights/weights_test_support.h"
#include "tests/support/test_paths.h"

namespace cogvx {
namespace {

using namespace test;
using testing::HasSubstr;

std::string read_error(const std::filesystem::path& path) {
  return data_error([&] { read_file(path, 1000); });
}

TEST(ReadFile, GivesAllBytes) {
  const TemporaryFolder folder;
  for (const size_t size : {0, 1, 1000}) {
    const std::string bytes(size, '\0');
    write_text(folder / "file", bytes);
    EXPECT_EQ(read_file(folder / "file", 1000), bytes);
  }
  EXPECT_FALSE(read_file("/proc/self/status", 1 << 20).empty());
}

TEST(ReadFile, TooManyBytesAreADataError) {
  const TemporaryFolder folder;
  write_text(folder / "file", std::string(1001, 'x'));
  EXPECT_THAT(read_error(folder / "file"), HasSubstr("has more than 1000 bytes"));
}

TEST(ReadFile, DevicesPipesAndFoldersAreDataErrorsAtOnce) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  for (const std::filesystem::path& path :
       {std::filesystem::path("/dev/zero"), folder / "pipe", folder.path()}) {
    EXPECT_THAT(read_error(path), HasSubstr("is not a regular file")) << path;
  }
}

TEST(ReadFile, PathsTheSystemRefusesAreDataErrors) {
  EXPECT_THAT(read_error("/nonexistent"), HasSubstr("No such file"));
  const std::string longest(5000, 'x');
  EXPECT_THAT(read_error(longest), HasSubstr("File name too long"));
  EXPECT_THAT(data_error([&] { require_folder(longest, "cure"); }), HasSubstr("too long"));
  EXPECT_THAT(data_error([&] { require_file(longest, "cure"); }), HasSubstr("too long"));
  EXPECT_TRUE(may_exist(longest));
}

TEST(ReadFile, WhatIsNotThereIsSaidWithItsCure) {
  const TemporaryFolder folder;
  EXPECT_THAT(data_error([&] { require_folder(folder / "a", "look"); }),
              HasSubstr("a: no such folder; look"));
  EXPECT_THAT(data_error([&] { require_file(folder / "a", "look"); }),
              HasSubstr("a: no such file; look"));
  EXPECT_THAT(data_error([&] { require_file(folder.path(), "look"); }),
              HasSubstr("is there, but is no file; look"));
  EXPECT_FALSE(may_exist(folder / "a"));
  EXPECT_TRUE(may_exist(folder.path()));
}

}  // namespace
}  // namespace cogvx
