#include "tests/app/hostile_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>

#include "tests/support/broken_files.h"
#include "tests/support/demo_run.h"
#include "tests/support/program.h"

namespace cogvx::test {
namespace {

namespace fs = std::filesystem;

std::string with_folder(std::string text, const Scene& scene) {
  for (size_t at = text.find("{}"); at != std::string::npos; at = text.find("{}"))
    text.replace(at, 2, scene.folder.string());
  return text;
}

ProgramResult run_row(const Row& row, const Scene& scene) {
  std::vector<std::string> arguments;
  if (!row.bare) {
    arguments = {"--model",
                 scene.model().string(),
                 "-p",
                 kDemoPrompt,
                 "--dtype",
                 "fp32",
                 "--steps",
                 "2",
                 "--quiet",
                 "-o",
                 (scene / "v.mp4").string()};
  }
  for (const std::string& argument : row.arguments)
    arguments.push_back(with_folder(argument, scene));
  return run_cogvx_gen(
      {.arguments = arguments, .input = row.input_text, .shell = with_folder(row.shell, scene)});
}

// For the table: without the temporary folder's name, in one cell.
std::string shown(std::string line, const Scene& scene) {
  const std::string folder = scene.folder.string() + "/";
  for (size_t at = line.find(folder); at != std::string::npos; at = line.find(folder))
    line.erase(at, folder.size());
  std::replace(line.begin(), line.end(), '|', '/');
  constexpr size_t kWidest = 260;
  return line.size() > kWidest ? line.substr(0, kWidest) + "..." : line;
}

void run_one(const Row& row) {
  SCOPED_TRACE(row.input);
  const TemporaryFolder folder;
  const Scene scene{folder.path()};
  link_demo_model(scene.model());
  if (row.prepare) row.prepare(scene);
  std::vector<std::string> wanted = names_in(scene.folder);
  const ProgramResult result = run_row(row, scene);

  EXPECT_EQ(result.exit_code, row.code) << result.err;
  EXPECT_NE(result.err.find(row.says), std::string::npos)
      << "'" << row.says << "' is not in: " << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  const char* start = row.code == 0 ? "cogvx-gen: warning: " : "cogvx-gen: error: ";
  EXPECT_TRUE(result.err.starts_with(start)) << result.err;
  if (row.code != 0) {
    EXPECT_EQ(result.out, "");
  }
  if (row.code == 0) wanted.insert(wanted.end(), {"v.json", "v.mp4"});
  wanted.insert(wanted.end(), row.leaves.begin(), row.leaves.end());
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  EXPECT_EQ(names_in(scene.folder), wanted);

  const std::string line = result.err.substr(0, result.err.find('\n'));
  std::printf("| %s | %d | %s |\n", row.input.c_str(), result.exit_code,
              shown(line, scene).c_str());
}

}  // namespace

void run_rows(const std::vector<Row>& rows) {
  std::printf("| input | exit code | what the program says |\n|---|---|---|\n");
  for (const Row& row : rows) run_one(row);
  std::printf("%zu rows\n", rows.size());
}

}  // namespace cogvx::test
