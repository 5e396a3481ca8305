#include "app/compare/page/compare_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <set>
#include <sstream>

#include "app/compare/page/html_text.h"
#include "app/compare/page/psnr_chart.h"
#include "core/base/errors.h"
#include "io/video_info.h"
#include "tests/support/test_paths.h"

namespace cogvx::app {
namespace {

using nlohmann::json;
using test::TemporaryFolder;
using testing::HasSubstr;
using testing::Not;

constexpr int kFrames = 5;

// Each frame has one grey, `step` brighter than the one before.
io::Frames greys(io::FrameSize size, int first, int step) {
  io::Frames frames{.pixels = {}, .count = kFrames, .size = size};
  for (int f = 0; f < kFrames; ++f)
    frames.pixels.insert(frames.pixels.end(), size.bytes(), static_cast<uint8_t>(first + f * step));
  return frames;
}

VideoRecord record(uint64_t seed, const std::string& prompt) {
  return {.request = {{"seed", seed},
                      {"prompt", prompt},
                      {"scheduler", {{"beta_end", 0.012}, {"class", "ddim"}}}},
          .engine = {{"device", "cpu"}},
          .placement = json()};
}

PageResult result(const std::string& name, const io::Frames& reference, const io::Frames& test) {
  return {.video = {.name = name, .record = record(43, "a cat")},
          .verdict = "the verdict of " + name,
          .distance = video_distance(reference.view(), test.view())};
}

std::string read(const std::filesystem::path& path) {
  std::stringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// How often any of the words stands there. Not by std::regex: GCC 12 warns of its own header under
// AddressSanitizer.
int count(const std::string& text, const std::vector<std::string>& words) {
  int found = 0;
  for (const std::string& word : words) {
    for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1))
      ++found;
  }
  return found;
}

// A page of REF and two TESTs, the second of them REF's copy.
struct Sample {
  TemporaryFolder folder;
  io::Frames reference, test;
  std::string name = "test.mp4";
  VideoRecord record_of_test = record(43, "a cat");

  explicit Sample(io::FrameSize size = {.width = 34, .height = 18})
      : reference(greys(size, 20, 40)), test(greys(size, 30, 40)) {}

  std::string page() {
    ComparePage page(folder / "page.html",
                     {.video = {.name = "ref.mp4", .record = record(42, "a cat")},
                      .frames = reference.view(),
                      .frame_rate = {.numerator = 16, .denominator = 1}});
    PageResult other = result(name, reference, test);
    other.video.record = record_of_test;
    page.add(other, test.view());
    page.add(result("copy.mp4", reference, reference), reference.view());
    page.commit();
    return read(folder / "page.html");
  }
};

std::string decoded(const std::string& text) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned bits = 0;
  int held = 0;
  for (const char c : text) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<unsigned>(digits.find(c));
    if ((held += 6) < 8) continue;
    held -= 8;
    bytes += static_cast<char>(bits >> held & 0xFF);
  }
  return bytes;
}

// The videos inside the page, in its order.
std::vector<io::Frames> copies_in(const std::string& page, const TemporaryFolder& folder) {
  std::vector<io::Frames> copies;
  const std::string begin = "src=\"data:video/mp4;base64,";
  for (size_t at = page.find(begin); at != std::string::npos; at = page.find(begin, at + 1)) {
    const size_t from = at + begin.size();
    const auto path = folder / "copy.mp4";
    std::ofstream(path, std::ios::binary)
        << decoded(page.substr(from, page.find('"', from) - from));
    const io::VideoInfo info = io::read_video_info(path);
    EXPECT_EQ(info.codec, "h264");
    EXPECT_EQ(info.pixel_format, "yuv420p");
    EXPECT_EQ(info.frame_rate, (io::FrameRate{16, 1}));
    EXPECT_DOUBLE_EQ(info.duration_seconds, kFrames / 16.0);
    copies.push_back(io::read_video_frames(path));
  }
  return copies;
}

// Without what is inside the data URIs.
std::string without_copies(std::string page) {
  const std::string begin = "src=\"data:video/mp4;base64,";
  for (size_t at = page.find(begin); at != std::string::npos; at = page.find(begin, at + 1)) {
    const size_t from = at + begin.size();
    page.erase(from, page.find('"', from) - from);
  }
  return page;
}

TEST(ComparePage, HoldsCopiesOfRefOfEachTestAndOfItsAmplifiedDifference) {
  Sample sample;
  const std::string page = sample.page();
  const std::vector<io::Frames> copies = copies_in(page, sample.folder);
  ASSERT_EQ(copies.size(), 5U);
  // 10 of 255, times 4; the second TEST is REF.
  EXPECT_THAT(page, HasSubstr("difference &times;4"));
  const io::Frames difference = greys(sample.reference.size, 40, 0);
  const io::Frames black = greys(sample.reference.size, 0, 0);
  const std::vector<const io::Frames*> wanted{&sample.reference, &sample.test, &difference,
                                              &sample.reference, &black};
  for (size_t i = 0; i < copies.size(); ++i) {
    ASSERT_EQ(copies[i].count, kFrames) << i;
    ASSERT_EQ(copies[i].size, sample.reference.size) << i;
    for (size_t at = 0; at < copies[i].pixels.size(); ++at)
      ASSERT_NEAR(copies[i].pixels[at], wanted[i]->pixels[at], 3) << i;
  }
}

TEST(ComparePage, FetchesNothing) {
  Sample sample;
  const std::string page = without_copies(sample.page());
  EXPECT_EQ(count(page, {"http://", "https://"}), 0);
  EXPECT_EQ(count(page, {" src=", " href=", " action=", " data=", " poster=", " srcset="}), 5);
  EXPECT_EQ(count(page, {" src=\"data:video/mp4;base64,\""}), 5);
  EXPECT_EQ(count(page, {"url(", "@import", "fetch(", "XMLHttpRequest", "<link", "<iframe"}), 0);
  EXPECT_THAT(page, HasSubstr("content=\"default-src 'none'; media-src data:;"));
  EXPECT_THAT(page, Not(HasSubstr("{{"))) << "a placeholder is left";
}

TEST(ComparePage, OddSizesGrowByOneAndTheStyleCutsItOff) {
  Sample sample({.width = 33, .height = 17});
  const std::string page = sample.page();
  EXPECT_THAT(page,
              HasSubstr("--width: 33; --height: 17; --coded-width: 34; --coded-height: 18; "));
  for (const io::Frames& copy : copies_in(page, sample.folder))
    EXPECT_EQ(copy.size, (io::FrameSize{.width = 34, .height = 18}));
}

TEST(ComparePage, HostileNamesAndPromptsStayText) {
  Sample sample;
  const std::string hostile =
      "</script><script>alert(1)</script>\" onload='x' {{style}} &amp; \xC3\xA9 ";
  sample.name = hostile + "\xFF\x01.mp4";
  sample.record_of_test = record(42, hostile + "\n<img src=x>");
  sample.record_of_test.request["</td><b>"] = "\xF0\x9F\x90\x88";
  const std::string page = without_copies(sample.page());
  EXPECT_EQ(count(page, {"<script"}), 1);
  EXPECT_EQ(count(page, {"</script"}), 1);
  EXPECT_EQ(count(page, {"<img", "<b>"}), 0);
  EXPECT_THAT(page, HasSubstr("&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot; "
                              "onload=&#39;x&#39; {{style}} &amp;amp; \xC3\xA9 "
                              "\xEF\xBF\xBD\xEF\xBF\xBD.mp4"));
  EXPECT_THAT(page, HasSubstr("\xF0\x9F\x90\x88"));
}

TEST(ComparePage, MarksTheFieldsOfTheRequestThatDiffer) {
  Sample sample;
  sample.record_of_test = record(43, "a cat");
  sample.record_of_test.request["scheduler"]["beta_end"] = 0.02;
  sample.record_of_test.engine["device"] = "cuda";
  const std::string page = without_copies(sample.page());
  const auto row = [&](const std::string& name) {
    const size_t at = page.find("<th scope=\"row\">" + name + "</th>");
    return at == std::string::npos ? "" : page.substr(at, page.find("</tr>", at) - at);
  };
  EXPECT_THAT(row("seed"), HasSubstr("<td>42</td><td class=\"differs\">43</td>"
                                     "<td class=\"differs\">43</td>"));
  EXPECT_THAT(row("scheduler.beta_end"),
              HasSubstr("<td>0.012</td><td class=\"differs\">0.02</td><td>0.012</td>"));
  EXPECT_THAT(row("device"), HasSubstr("<td class=\"differs\"><bdi>cuda</bdi></td>"));
  EXPECT_THAT(row("prompt"), Not(HasSubstr("differs")));
  EXPECT_THAT(page, HasSubstr("1 field in which none differs"));
  EXPECT_THAT(page, HasSubstr("Not recorded in these files.")) << "the placement";
}

TEST(ComparePage, WhatIsNotRecordedDoesNotDiffer) {
  Sample sample;
  sample.record_of_test = {};
  const std::string page = without_copies(sample.page());
  EXPECT_THAT(page, HasSubstr("<th scope=\"row\">seed</th><td>42</td><td><span class=\"unknown\">"
                              "not recorded</span></td><td class=\"differs\">43</td>"));
}

TEST(ComparePage, SaysTheNumbersOfEveryTest) {
  Sample sample;
  const std::string page = without_copies(sample.page());
  EXPECT_THAT(page, HasSubstr("<title>1 of 2 differs from REF: ref.mp4</title>"));
  EXPECT_THAT(page, HasSubstr("the verdict of test.mp4"));
  // 20 log10(255 / 10)
  EXPECT_THAT(page, HasSubstr("<td>0 of 5</td><td>28.13 dB</td><td>28.13 dB <button"));
  EXPECT_THAT(page, HasSubstr("<td>10</td><td>10</td>"));
  EXPECT_THAT(page, HasSubstr("<td>5 of 5</td><td><span class=\"infinite\""));
  EXPECT_THAT(page, HasSubstr("data-psnr=\"28.13 dB,28.13 dB,28.13 dB,28.13 dB,28.13 dB\""));
  EXPECT_THAT(page, HasSubstr("data-psnr=\"identical,identical,identical,identical,identical\""));
}

TEST(ComparePage, TheSameInputsGiveTheSamePage) {
  Sample a, b;
  EXPECT_EQ(a.page(), b.page());
}

TEST(ComparePage, LeavesNothingBehindWithoutCommit) {
  const TemporaryFolder folder;
  Sample sample;
  {
    ComparePage page(folder / "page.html", {.video = {.name = "a", .record = {}},
                                            .frames = sample.reference.view(),
                                            .frame_rate = kUsualFrameRate});
    page.add(result("b", sample.reference, sample.test), sample.test.view());
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  EXPECT_THROW(ComparePage(folder / "missing" / "page.html", {.video = {.name = "a", .record = {}},
                                                              .frames = sample.reference.view(),
                                                              .frame_rate = kUsualFrameRate}),
               OutputError);
}

VideoDistance distance_of(const std::vector<double>& mses) {
  VideoDistance distance;
  for (const double mse : mses) distance.frames.push_back({.mse = mse});
  return distance;
}

TEST(PsnrChart, HasALineForEachTestAndAPointForEachFrame) {
  const std::string svg =
      psnr_chart_svg({{.video = {}, .verdict = {}, .distance = distance_of({0, 10, 1, 400})},
                      {.video = {}, .verdict = {}, .distance = distance_of({1, 1, 0, 0})}});
  std::vector<std::vector<std::pair<double, double>>> lines;
  const std::string begin = "<polyline class=\"test colour-N\" points=\"";
  for (size_t at = svg.find("<polyline"); at != std::string::npos;
       at = svg.find("<polyline", at + 1)) {
    const size_t from = at + begin.size();
    std::istringstream points(svg.substr(from, svg.find('"', from) - from));
    auto& pairs = lines.emplace_back();
    for (std::pair<double, double> p; points >> p.first && points.get() && points >> p.second;)
      pairs.push_back(p);
  }
  ASSERT_EQ(lines.size(), 2U);
  ASSERT_EQ(lines[0].size(), 4U);
  ASSERT_EQ(lines[1].size(), 4U);
  const double identical = lines[0][0].second;
  EXPECT_EQ(lines[1][2].second, identical);
  EXPECT_EQ(lines[0][2].second, lines[1][0].second) << "equal PSNR, equal height";
  EXPECT_LT(identical, lines[0][2].second) << "above all decibels";
  EXPECT_LT(lines[0][2].second, lines[0][1].second);
  EXPECT_LT(lines[0][1].second, lines[0][3].second) << "the worst lies lowest";
  EXPECT_DOUBLE_EQ(lines[0][3].first - lines[0][2].first, lines[0][1].first - lines[0][0].first);
}

TEST(PsnrChart, TakesOneFrameAndIdenticalVideos) {
  for (const std::vector<double>& mses :
       {std::vector<double>{0.0}, {7.0}, {0.0, 0.0}, {1e-7, 65025.0}}) {
    const std::string svg =
        psnr_chart_svg({{.video = {}, .verdict = {}, .distance = distance_of(mses)}});
    EXPECT_EQ(count(svg, {"<polyline"}), 1);
    EXPECT_EQ(count(svg, {"nan", "inf"}), 0) << svg;
  }
}

TEST(DifferenceGain, ShowsTheSmallAndSparesTheLarge) {
  const auto gain = [](double mean) {
    return difference_gain(
        {.frames = {{.mse = 1, .mean_abs = mean / 2}, {.mse = 1, .mean_abs = mean}}});
  };
  EXPECT_EQ(gain(0), 64);
  EXPECT_EQ(gain(0.001), 64);
  EXPECT_EQ(gain(1), 64);
  EXPECT_EQ(gain(1.1), 32);
  EXPECT_EQ(gain(10), 4);
  EXPECT_EQ(gain(200), 1);
}

TEST(HtmlText, ATemplateAsksForWhatItIsGivenAndForNothingElse) {
  EXPECT_EQ(fill_template("a {{b}} c{{d}}", {{"b", "{{d}}"}, {"d", "1"}}), "a {{d}} c1");
  EXPECT_THROW(fill_template("{{b}}", {}), std::logic_error);
  EXPECT_THROW(fill_template("b", {{"b", ""}}), std::logic_error);
}

}  // namespace
}  // namespace cogvx::app
