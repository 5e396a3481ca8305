#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <new>
#include <nlohmann/json.hpp>

#include "app/compare/comparison.h"
#include "app/json_text.h"
#include "app/standard_streams.h"
#include "core/base/errors.h"

namespace {

using namespace cogvx;
using namespace cogvx::app;

constexpr char kUsage[] =
    R"(cogvx-compare REF TEST... [--json] [--quiet]
  Says of each TEST whether it holds the same bytes as REF, and if not, where they part first. Both are
  of one kind: videos or folders of PNG frames, saved latents or states, traces (cogvx-gen --trace), sidecars.
  --json   one object for each TEST on standard output
  --quiet  the exit code alone
Exit code: 0 all the same, 1 one differs, 2 usage, 3 one cannot be read or compared.
)";

struct CompareOptions {
  std::vector<std::string> files;
  bool json = false;
  bool quiet = false;
  bool help = false;
};

CompareOptions parse(int argc, const char* const* argv) {
  CompareOptions options;
  CLI::App parser;
  parser.set_help_flag();
  parser.add_option("files", options.files);
  parser.add_flag("--json", options.json);
  parser.add_flag("-q,--quiet", options.quiet);
  parser.add_flag("-h,--help", options.help);
  try {
    parser.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    throw UsageError(std::string(error.what()) + "; see --help");
  }
  if (!options.help && options.files.size() < 2) {
    throw UsageError("wanted a reference and one or more files to compare with it, found " +
                     std::to_string(options.files.size()) + " files; see --help");
  }
  return options;
}

void print(const Comparison& result, const CompareOptions& options, const std::string& test) {
  const std::string& reference = options.files.front();
  if (options.json) {
    std::cout << json_text(comparison_to_json(result, reference, test)) << "\n";
    return;
  }
  std::cout << one_line(test + ": " + (result.same ? "same as " : "DIFFERENT from ") + reference +
                        ": " + result.verdict)
            << "\n";
  for (const std::string& note : result.notes) std::cout << "  " << one_line(note) << "\n";
}

int report(const std::exception& error, int code) {
  std::cerr << "cogvx-compare: error: " << one_line(error.what()) << std::endl;
  return code;
}

int run(int argc, const char* const* argv) {
  const CompareOptions options = parse(argc, argv);
  if (options.help) {
    std::cout << kUsage;
    finish_standard_output("the answer is cut");
    return 0;
  }
  int code = 0;
  // One that cannot be read does not keep the others from being compared.
  for (size_t i = 1; i < options.files.size(); ++i) {
    try {
      const Comparison result = compare_files(options.files.front(), options.files[i]);
      if (!options.quiet) print(result, options, options.files[i]);
      if (!result.same) code = std::max(code, 1);
    } catch (const DataError& error) {
      code = report(error, 3);
    }
  }
  finish_standard_output("the verdicts are cut");
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  open_closed_streams();
  try {
    return run(argc, argv);
  } catch (const UsageError& error) {
    return report(error, 2);
  } catch (const std::exception& error) {
    return report(error, 3);
  }
}
