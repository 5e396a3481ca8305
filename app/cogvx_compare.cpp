#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/compare/compare_options.h"
#include "app/compare/compare_outputs.h"
#include "app/compare/heatmap.h"
#include "app/compare/page/pictures.h"
#include "app/compare/per_frame.h"
#include "app/compare/report.h"
#include "app/compare/subject.h"
#include "app/json_text.h"
#include "app/library_versions.h"
#include "app/standard_streams.h"
#include "core/base/errors.h"
#include "io/atomic_file.h"
#include "io/png.h"

namespace {

using namespace cogvx;
using namespace cogvx::app;

constexpr int kDiffers = 1;
constexpr int kUsage = 2;
constexpr int kUnreadable = 3;

int report_error(const std::exception& error, int code) {
  std::cerr << "cogvx-compare: error: " << one_line(error.what()) << std::endl;
  return code;
}

void print_versions() {
  for (const auto& [name, version] : library_versions("cogvx-compare"))
    std::cout << name << " " << version << "\n";
}

PageVideo page_video(const std::string& name, const Provenance& provenance) {
  return {.name = name,
          .record = {.request = provenance.request ? request_to_json(*provenance.request) : nullptr,
                     .engine = provenance.engine,
                     .placement = provenance.placement}};
}

class Run {
 public:
  explicit Run(const CompareOptions& options)
      : options_(options), reference_(read_subject(options.reference())) {
    check_applicable(options.limits, kind_of(reference_), options.reference());
    check_outputs_apply(options, kind_of(reference_));
    const PictureFiles files{.html = options.html, .side_by_side = options.side_by_side};
    if (!files.any()) return;
    const Video& video = std::get<Video>(reference_);
    pictures_.emplace(
        files, ComparePage::Reference{.video = page_video(options.reference(), video.provenance),
                                      .frames = video.frames.view(),
                                      .frame_rate = video.frame_rate});
  }

  // One that cannot be read does not keep the others from being compared.
  int compare_all() {
    int code = 0;
    for (size_t i = 1; i < options_.files.size(); ++i) {
      try {
        compare(options_.files[i]);
        if (!results_.back().judgement.passed) code = std::max(code, kDiffers);
      } catch (const DataError& error) {
        code = report_error(error, kUnreadable);
      }
    }
    if (!options_.quiet && !options_.json && wants_table())
      std::cout << "\n" << report_table(results_);
    write_outputs();
    return code;
  }

 private:
  void compare(const std::string& path) {
    Subject test = read_subject(path);
    Result result{.test = path, .comparison = compare_subjects(reference_, test), .judgement = {}};
    result.judgement = judge(options_.limits, result.comparison);
    if (!options_.heatmap.empty()) {
      heats_.push_back(heat_of({.reference = std::get<Video>(reference_).frames.view(),
                                .test = std::get<Video>(test).frames.view(),
                                .worst_frame = result.comparison.video->worst_psnr_frame(),
                                .name = path}));
    }
    if (pictures_) draw(std::get<Video>(test), result.comparison);
    results_.push_back(std::move(result));
    if (!options_.quiet) print(results_.back());
  }

  // Takes the frames.
  void draw(Video& test, const Comparison& comparison) {
    pictures_->add({.video = page_video(test.path, test.provenance),
                    .verdict = summary_of(comparison),
                    .distance = *comparison.video},
                   std::move(test.frames));
  }

  void print(const Result& result) const {
    if (options_.json) {
      std::cout << json_text(result_to_json(result, options_.reference())) << std::endl;
      return;
    }
    for (const std::string& line : report_lines(result, options_.reference()))
      std::cout << one_line(line) << "\n";
    std::cout << std::flush;
  }

  bool wants_table() const {
    return results_.size() > 1 || (results_.size() == 1 && !results_.front().comparison.same);
  }

  void write_outputs() {
    if (results_.empty()) return;
    if (!options_.per_frame.empty())
      io::write_text_file(options_.per_frame, per_frame_csv(results_));
    if (!options_.heatmap.empty())
      io::write_png(options_.heatmap, draw_heatmap(heats_, options_.reference()).view());
    if (pictures_) pictures_->commit();
  }

  const CompareOptions& options_;
  Subject reference_;
  std::vector<Result> results_;
  std::vector<Heat> heats_;
  std::optional<Pictures> pictures_;
};

int run(int argc, const char* const* argv) {
  const CompareOptions options = parse_compare_options(argc, argv);
  if (options.help || options.version) {
    options.help ? print_compare_help(std::cout) : print_versions();
    finish_standard_output("the answer is cut");
    return 0;
  }
  check_outputs(options);
  const int code = Run(options).compare_all();
  finish_standard_output("the verdicts are cut");
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  open_closed_streams();
  try {
    return run(argc, argv);
  } catch (const UsageError& error) {
    return report_error(error, kUsage);
  } catch (const OutputError& error) {
    return report_error(error, kUsage);
  } catch (const std::exception& error) {
    return report_error(error, kUnreadable);
  }
}
