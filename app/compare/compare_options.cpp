#include "app/compare/compare_options.h"

#include <CLI/CLI.hpp>
#include <ostream>

#include "app/arguments.h"
#include "core/base/errors.h"

namespace cogvx::app {
namespace {

using O = CompareOptions;
using Rows = std::vector<CompareOption>;

constexpr size_t kHelpColumn = 24;

constexpr char kHead[] =
    R"(cogvx-compare says of each TEST whether it holds the same bytes as REF, and if not, where they part and how far.

  cogvx-compare REF TEST... [options]

Both are of one kind: videos or folders of PNG frames (000000.png, ...), latents (cogvx-gen --save-latents) or states,
traces (--trace), sidecars. Videos are compared as the RGB frames they decode to. Nothing is cut or scaled: another size
or number of frames cannot be compared.
)";

constexpr char kTail[] = R"(
PSNR is in decibels, of all bytes of a frame; that of a video is of the mean squared error over all its frames, not a
mean of decibels. SSIM has an 11x11 Gaussian window of sigma 1.5 (scikit-image's, gaussian_weights=True).
Exit code: 0 all the same, or within all limits given; 1 one is not; 2 usage, or an output that cannot be written; 3 one
cannot be read or compared.
)";

Rows in_group(const char* group, Rows rows) {
  for (CompareOption& row : rows) row.group = group;
  return rows;
}

CompareOption row(std::vector<std::string> names, const char* value, const char* help,
                  CompareOption::Target target) {
  return {std::move(names), "", value, help, target};
}

Rows limit_rows() {
  return in_group(
      "limits (with one or more, exit code 0 means that all are met, each by the worst frame)",
      {
          row({"--exact"}, nullptr, "every byte is the same", &Limits::exact),
          row({"--min-psnr"}, "DB", "of frames", &Limits::min_psnr),
          row({"--min-ssim"}, "X", "of frames, up to 1", &Limits::min_ssim),
          row({"--max-abs"}, "N", "largest difference of a byte, 0 to 255, or of a latent",
              &Limits::max_abs),
          row({"--min-cosine"}, "X", "of latents and states, up to 1", &Limits::min_cosine),
      });
}

Rows output_rows() {
  return in_group(
      "output",
      {
          row({"--per-frame"}, "F.csv", "the numbers of each TEST's frames or latent frames",
              &O::per_frame),
          row({"--heatmap"}, "F.png",
              "where the frames differ: their mean and the worst one, a row for each TEST",
              &O::heatmap),
          row({"--side-by-side"}, "F.mp4",
              "a video of REF, TEST and their amplified difference, a row for each TEST",
              &O::side_by_side),
          row({"--html"}, "F.html",
              "one page, complete in itself: the videos in step, their numbers, what made them",
              &O::html),
          row({"--overwrite"}, nullptr, "replace files that exist", &O::overwrite),
          row({"--json"}, nullptr,
              "one object for each TEST on standard output; a number without end is \"inf\"",
              &O::json),
          row({"--quiet", "-q"}, nullptr, "the exit code and errors alone", &O::quiet),
          row({"--help", "-h"}, nullptr, "print this, and stop", &O::help),
          row({"--version"}, nullptr, "print versions, and stop", &O::version),
      });
}

void set_option(const CompareOption& option, const std::string& text, CompareOptions& options) {
  if (const auto* member = std::get_if<std::string O::*>(&option.target))
    options.*(*member) = text;
  else if (const auto* flag = std::get_if<bool O::*>(&option.target))
    options.*(*flag) = true;
  else if (const auto* limit = std::get_if<std::optional<double> Limits::*>(&option.target))
    options.limits.*(*limit) = parse_real(option.names.front(), text);
  else
    options.limits.*std::get<bool Limits::*>(option.target) = true;
}

std::vector<std::string> known_flags() {
  std::vector<std::string> known;
  for (const CompareOption& option : compare_option_table())
    known.insert(known.end(), option.names.begin(), option.names.end());
  return known;
}

void build_parser(CLI::App& parser, CompareOptions& options) {
  parser.set_help_flag();
  parser.add_option("files", options.files);
  for (const CompareOption& option : compare_option_table()) {
    const std::string names = joined_names(option.names);
    if (option.value == nullptr) {
      parser.add_flag_callback(names, [&] { set_option(option, "", options); });
    } else {
      const auto set = [&](const std::string& text) { set_option(option, text, options); };
      parser.add_option_function<std::string>(names, set)->take_last();
    }
  }
}

}  // namespace

const std::vector<CompareOption>& compare_option_table() {
  static const Rows table = [] {
    Rows rows = limit_rows();
    const Rows more = output_rows();
    rows.insert(rows.end(), more.begin(), more.end());
    return rows;
  }();
  return table;
}

CompareOptions parse_compare_options(int argc, const char* const* argv) {
  CompareOptions options;
  CLI::App parser;
  build_parser(parser, options);
  try {
    parser.parse(normalized_arguments(argc, argv));
  } catch (const CLI::ExtrasError&) {
    throw UsageError(unknown_flag_text(parser.remaining().front(), known_flags(), "cogvx-compare"));
  } catch (const CLI::ParseError& error) {
    throw UsageError(std::string(error.what()) + "; see cogvx-compare --help");
  }
  if (options.help || options.version) return options;
  if (options.files.size() < 2) {
    throw UsageError("wanted a reference and one or more files to compare with it, found " +
                     std::to_string(options.files.size()) + " files; see cogvx-compare --help");
  }
  check_values(options.limits);
  return options;
}

void print_compare_help(std::ostream& out) {
  out << kHead;
  std::string group;
  for (const CompareOption& option : compare_option_table()) {
    if (group != option.group) out << "\n" << (group = option.group) << ":\n";
    out << help_row(option.names, option.value, option.help, kHelpColumn);
  }
  out << kTail;
}

}  // namespace cogvx::app
