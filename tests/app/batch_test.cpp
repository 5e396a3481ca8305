#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "io/atomic_file.h"
#include "tests/support/broken_files.h"
#include "tests/support/demo_run.h"
#include "tests/support/program.h"
#include "tests/support/runnable_model.h"

// Batches as their users run them, on the demo model at a size that takes a moment.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Flags = std::vector<std::string>;

Flags with(Flags flags, const Flags& more) {
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

std::vector<json> objects_in(const std::string& out) {
  std::vector<json> objects;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);)
    objects.push_back(json::parse(line, nullptr, /*allow_exceptions=*/false));
  return objects;
}

class Batch : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  Flags common(const Flags& more = {}) const {
    return with({"--model", model_, "--allow-untrained-size", "--frames", "5", "--width", "48",
                 "--height", "32", "--threads", "1", "--json", "--progress", "json"},
                more);
  }
  Flags batch(const Flags& more = {}) const {
    return with(common({"--batch", path("b.jsonl"), "-o", path("v/{index}.mp4")}), more);
  }
  void write_lines(const std::vector<json>& lines) {
    std::string text;
    for (const json& line : lines) text += line.dump() + "\n";
    io::write_text_file(path("b.jsonl"), text);
    fs::create_directories(path("v"));
  }
  // As a command of its own.
  const json& alone(const json& line) {
    json& report = alone_[line.dump()];
    if (!report.is_null()) return report;
    Flags flags = common({"-o", path("alone.mp4"), "--overwrite"});
    for (const auto& [key, value] : line.items()) {
      if (key == "output") continue;
      for (const json& one : value.is_array() ? value : json::array({value})) {
        flags.push_back("--" + key);
        flags.push_back(one.is_string() ? one.get<std::string>() : one.dump());
      }
    }
    const ProgramResult result = run_cogvx_gen(flags);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    report = json::parse(result.out, nullptr, /*allow_exceptions=*/false);
    report["file"] = read_file(path("alone.mp4"));
    return report;
  }
  // The video of this name is what the line gives by itself.
  void expect_alone(const std::string& name, const json& line) {
    SCOPED_TRACE(name);
    const json made =
        json::parse(read_file(path("v/" + name + ".json")), nullptr, /*allow_exceptions=*/false);
    const json& wanted = alone(line);
    ASSERT_TRUE(made.is_object());
    EXPECT_EQ(made["sha256_latents"], wanted["sha256_latents"]);
    EXPECT_EQ(made["sha256_frames"], wanted["sha256_frames"]);
    EXPECT_EQ(made["request"], wanted["request"]);
    EXPECT_TRUE(read_file(path("v/" + name + ".mp4")) == wanted["file"]);
  }
  static int64_t loads_of(const json& result, const char* part) {
    return result.at("loads").at(part);
  }

  TemporaryFolder folder_;
  std::string model_ = demo_model();
  std::map<std::string, json> alone_;
};

json video(int seed, const json& more = json::object()) {
  json line = {{"prompt", seed % 3 == 0 ? "a blue circle grows" : kDemoPrompt},
               {"seed", seed},
               {"steps", 2 + seed % 3}};
  line.update(more);
  return line;
}

std::string name_of(size_t index) { return (index < 10 ? "0" : "") + std::to_string(index); }

TEST_F(Batch, KilledResumedAndShardedEachVideoIsMadeOnceAsIfAlone) {
  io::write_text_file(path("broken.mkv"), "no video");
  std::vector<json> lines;
  for (int i = 1; i <= 20; ++i) lines.push_back(video(i));
  // The first cannot read its input, the second's numbers overflow.
  lines[3] = video(4, {{"task", "v2v"}, {"video", path("broken.mkv")}});
  lines[12] = video(13, {{"guidance-scale", 3e38}});
  write_lines(lines);
  const ProgramResult killed = run_and_act({.arguments = batch()}, "\"item\":8,",
                                           [](const Program& program) { program.send(SIGKILL); });
  ASSERT_EQ(killed.exit_code, 128 + SIGKILL) << killed.err;
  const std::vector<json> before = objects_in(killed.out);
  ASSERT_GE(before.size(), 6U);
  EXPECT_TRUE(fs::exists(path("v/07.mp4")));
  EXPECT_FALSE(fs::exists(path("v/20.mp4")));
  std::map<int64_t, int> made;
  for (const json& result : before) ++made[result.at("index").get<int64_t>()];
  for (const char* shard : {"1/2", "2/2"}) {
    const ProgramResult result = run_cogvx_gen(batch({"--resume-batch", "--shard", shard}));
    EXPECT_EQ(result.exit_code, 8) << result.err;
    const std::vector<json> results = objects_in(result.out);
    ASSERT_EQ(results.size(), 10U) << result.err;
    for (const json& one : results) {
      const int64_t index = one.at("index");
      EXPECT_EQ(index % 2, shard[0] % 2) << shard;
      if (!one.contains("skipped")) ++made[index];
      EXPECT_EQ(one.contains("error"), index == 4 || index == 13) << one.dump();
    }
    const json& last = results.back();
    for (const char* part : {"tokenizer", "text_encoder", "transformer", "vae"})
      EXPECT_EQ(loads_of(last, part), 1) << part;
    EXPECT_NE(result.err.find("failed 1"), std::string::npos) << result.err;
  }
  EXPECT_EQ(made.size(), 20U);
  Flags wanted;
  for (size_t i = 1; i <= lines.size(); ++i) {
    // One that failed is tried again.
    if (i == 4 || i == 13) continue;
    EXPECT_EQ(made[static_cast<int64_t>(i)], 1) << i;
    expect_alone(name_of(i), lines[i - 1]);
    wanted = with(wanted, {name_of(i) + ".json", name_of(i) + ".mp4"});
  }
  EXPECT_EQ(names_in(path("v")), wanted);
}

TEST_F(Batch, ASignalLeavesTheVideoUnderWayToGoOnWith) {
  const std::vector<json> lines = {video(1), video(2, {{"steps", 40}}), video(3)};
  write_lines(lines);
  for (const auto& [signal, mesh] :
       {std::pair{SIGINT, Flags{}}, std::pair{SIGTERM, Flags{"--cp", "2"}}}) {
    const ProgramResult stopped =
        run_and_act({.arguments = batch(mesh)}, R"("done":3,"item":2,)",
                    [&, &sent = signal](const Program& program) { program.send(sent); });
    EXPECT_EQ(stopped.exit_code, 128 + signal) << stopped.err;
    EXPECT_NE(stopped.err.find("go on with --resume-batch; 1 of 3 videos are there"),
              std::string::npos)
        << stopped.err;
    EXPECT_EQ(names_in(path("v")), (Flags{"1.json", "1.mp4", "2.state.safetensors"}));
    const ProgramResult resumed = run_cogvx_gen(batch({"--resume-batch"}));
    EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
    const std::vector<json> results = objects_in(resumed.out);
    ASSERT_EQ(results.size(), 3U);
    EXPECT_TRUE(results[0].value("skipped", false));
    EXPECT_GE(results[1]["continued_from"]["step"], 3);
    for (size_t i = 0; i < lines.size(); ++i) expect_alone(std::to_string(i + 1), lines[i]);
    EXPECT_EQ(names_in(path("v")).size(), 6U);
    fs::remove_all(path("v"));
    fs::create_directories(path("v"));
  }
}

TEST_F(Batch, AKillWhileFilesGetTheirNamesLosesNothingAndDoublesNothing) {
  const std::vector<json> lines = {video(1), video(2)};
  write_lines(lines);
  struct Moment {
    const char* call;
    const char* file;
    Flags more{};
  };
  const Flags keeping = {"--save-latents", path("v/{index}.safetensors")};
  const Moment moments[] = {{"write", ".2.latents.safetensors"},
                            {"rename", ".2.latents.safetensors"},
                            {"write", ".2.json"},
                            {"rename", ".2.json"},
                            {"rename", ".2.mp4"},
                            {"rename", ".2.mp4", keeping}};
  for (const Moment& moment : moments) {
    SCOPED_TRACE(std::string(moment.call) + " of " + moment.file);
    fs::remove_all(path("v"));
    fs::create_directories(path("v"));
    // Those that stand are of another request.
    write_lines({video(11), video(12)});
    ASSERT_EQ(run_cogvx_gen(batch(moment.more)).exit_code, 0);
    write_lines(lines);
    const Flags again = batch(with(moment.more, {"--overwrite", "--resume-batch"}));
    const ProgramResult killed =
        run_cogvx_gen({.arguments = again,
                       .shell = in_hostile_world(std::string("COGVX_TEST_KILL=") + moment.call +
                                                 " COGVX_TEST_KILL_FILE='" + moment.file +
                                                 "' COGVX_TEST_KILL_AT=1")});
    ASSERT_EQ(killed.exit_code, 128 + SIGKILL) << killed.err;
    const ProgramResult resumed = run_cogvx_gen(again);
    EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
    for (size_t i = 0; i < lines.size(); ++i) expect_alone(std::to_string(i + 1), lines[i]);
    EXPECT_EQ(names_in(path("v")).size(), moment.more.empty() ? 4U : 6U);
  }
}

TEST_F(Batch, WhateverFailsFailsAloneAndTheSameOnSeveralProcesses) {
  io::write_text_file(path("broken.mkv"), "no video");
  const std::vector<json> lines = {
      video(1), video(2, {{"task", "v2v"}, {"video", path("broken.mkv")}}),
      video(3, {{"guidance-scale", 3e38}}), video(4),
      // Its disk is full.
      video(5), video(6), video(7, {{"guidance-scale", 1e36}}), video(8)};
  write_lines(lines);
  const std::string full = in_hostile_world("COGVX_TEST_FULL=.5.mp4");
  for (const Flags& mesh : {Flags{}, Flags{"--cp", "2"}, Flags{"--sp", "2"}}) {
    SCOPED_TRACE(testing::PrintToString(mesh));
    const ProgramResult result = run_cogvx_gen({.arguments = batch(mesh), .shell = full});
    EXPECT_EQ(result.exit_code, 8) << result.err;
    const std::vector<json> results = objects_in(result.out);
    ASSERT_EQ(results.size(), 8U) << result.err;
    const std::map<size_t, int> codes = {{2, 3}, {3, 6}, {5, 9}, {7, 6}};
    for (size_t i = 1; i <= 8; ++i) {
      EXPECT_EQ(results[i - 1]["index"], i);
      if (codes.contains(i)) {
        EXPECT_EQ(results[i - 1]["exit_code"], codes.at(i)) << results[i - 1].dump();
        EXPECT_EQ(results[i - 1]["output"], path("v/" + std::to_string(i) + ".mp4"));
        EXPECT_NE(result.err.find("b.jsonl:" + std::to_string(i) + ": video"), std::string::npos);
      } else {
        expect_alone(std::to_string(i), lines[i - 1]);
      }
    }
    EXPECT_NE(results[2]["error"].get<std::string>().find("denoise: "), std::string::npos);
    EXPECT_NE(results[6]["error"].get<std::string>().find("decode: "), std::string::npos);
    EXPECT_EQ(names_in(path("v")),
              (Flags{"1.json", "1.mp4", "4.json", "4.mp4", "5.latents.safetensors", "6.json",
                     "6.mp4", "7.latents.safetensors", "8.json", "8.mp4"}));
    // What failed for want of room is there to go on with.
    const ProgramResult resumed = run_cogvx_gen(batch(with(mesh, {"--resume-batch"})));
    EXPECT_EQ(resumed.exit_code, 8) << resumed.err;
    expect_alone("5", lines[4]);
    EXPECT_EQ(objects_in(resumed.out).at(4)["units"][0]["row_blocks"], 0);
    fs::remove_all(path("v"));
    fs::create_directories(path("v"));
  }
}

TEST_F(Batch, AnInputThatCannotBeEncodedFailsOnAllProcesses) {
  model_ = path("model");
  link_demo_model(model_);
  write_lines({video(1)});
  ASSERT_EQ(run_cogvx_gen(batch({"-o", path("clip.mp4")})).exit_code, 0);
  const fs::path weights = fs::path(model_) / "vae/diffusion_pytorch_model.safetensors";
  RawSafetensors other = RawSafetensors::load(weights);
  other.fill("encoder.conv_in.conv.weight", 1e38F);
  other.save(weights);
  write_lines({video(1), video(2, {{"task", "v2v"}, {"video", path("clip.mp4")}}), video(3)});
  for (const Flags& mesh : {Flags{}, Flags{"--cp", "2"}}) {
    const ProgramResult result = run_cogvx_gen(batch(with(mesh, {"--overwrite"})));
    EXPECT_EQ(result.exit_code, 8) << result.err;
    ASSERT_EQ(objects_in(result.out).size(), 3U) << result.err;
    EXPECT_EQ(objects_in(result.out)[1]["exit_code"], 6);
    expect_alone("1", video(1));
    expect_alone("3", video(3));
  }
}

TEST_F(Batch, FailFastEndsAtTheFirst) {
  write_lines({video(1), video(2, {{"guidance-scale", 3e38}}), video(3)});
  const ProgramResult result = run_cogvx_gen(batch({"--fail-fast"}));
  EXPECT_EQ(result.exit_code, 8) << result.err;
  EXPECT_EQ(objects_in(result.out).size(), 2U);
  EXPECT_FALSE(fs::exists(path("v/3.mp4")));
  EXPECT_NE(result.err.find("not begun 1 of 3"), std::string::npos) << result.err;
}

TEST_F(Batch, AWrongLineStopsItBeforeAnythingIsMade) {
  write_lines({video(1), {{"prompt", "x"}, {"stpes", 3}}});
  for (const Flags& mesh : {Flags{}, Flags{"--cp", "2"}}) {
    const ProgramResult result = run_cogvx_gen(batch(mesh));
    EXPECT_EQ(result.exit_code, 3);
    EXPECT_NE(result.err.find("b.jsonl:2: unknown key 'stpes', did you mean 'steps'?"),
              std::string::npos)
        << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_TRUE(names_in(path("v")).empty());
  }
}

TEST_F(Batch, FlagsThatDoNotGoTogetherAreRefused) {
  write_lines({video(1)});
  for (const Flags& more :
       {Flags{"--prompt-file", "x"}, Flags{"--from", "x"}, Flags{"--dump-config"}}) {
    const ProgramResult result = run_cogvx_gen(batch(more));
    EXPECT_EQ(result.exit_code, 2) << more.front();
    EXPECT_NE(result.err.find("--batch"), std::string::npos) << result.err;
  }
  for (const Flags& more :
       {Flags{"--resume-batch"}, Flags{"--fail-fast"}, Flags{"--shard", "1/2"}}) {
    const ProgramResult result = run_cogvx_gen(common(with({"--prompt", "x"}, more)));
    EXPECT_EQ(result.exit_code, 2) << more.front();
    EXPECT_NE(result.err.find(more.front() + " is for a batch"), std::string::npos) << result.err;
  }
}

TEST_F(Batch, APromptOfTheCommandIsThatOfLinesWithoutOne) {
  write_lines({{{"seed", 1}, {"steps", 2}}, video(2)});
  const ProgramResult result = run_cogvx_gen(batch({"--prompt", "a white star shrinks"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_alone("1", {{"prompt", "a white star shrinks"}, {"seed", 1}, {"steps", 2}});
  expect_alone("2", video(2));
}

TEST_F(Batch, ComesFromStandardInputTooAndEqualPromptsAreEncodedOnce) {
  fs::create_directories(path("v"));
  const std::string prompts = "\xef\xbb\xbf" + std::string(kDemoPrompt) + "\r\n\r\n" + kDemoPrompt +
                              "\r\na blue circle grows\r\n";
  const json lines[] = {{{"prompt", kDemoPrompt}, {"steps", 2}},
                        {{"prompt", kDemoPrompt}, {"steps", 2}},
                        {{"prompt", "a blue circle grows"}, {"steps", 2}}};
  for (const Flags& mesh : {Flags{}, Flags{"--cp", "2"}}) {
    const ProgramResult result = run_cogvx_gen(
        common(with({"--batch", "-", "--steps", "2", "--overwrite", "-o", path("v/{index}.mp4")},
                    mesh)),
        prompts);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const std::vector<json> results = objects_in(result.out);
    ASSERT_EQ(results.size(), 3U) << result.err;
    const int encoded[] = {2, 0, 1};
    for (size_t i = 0; i < 3; ++i) {
      expect_alone(std::to_string(i + 1), lines[i]);
      EXPECT_EQ(results[i]["units"][0]["prompts"], encoded[i]);
      EXPECT_EQ(results[i]["units_of_all_ranks"]["prompts"], encoded[i]);
    }
    EXPECT_EQ(loads_of(results.back(), "text_encoder"), 1);
    EXPECT_EQ(results[1]["bytes_sent"][0]["branches"], results[2]["bytes_sent"][0]["branches"]);
  }
  const ProgramResult objects =
      run_cogvx_gen(common({"--batch", "-", "--overwrite", "-o", path("v/{index}.mp4")}),
                    "\n  " + video(7).dump() + "\n");
  EXPECT_EQ(objects.exit_code, 0) << objects.err;
  expect_alone("1", video(7));
}

TEST_F(Batch, ASeedDoesNotDependOnThePlaceAndOneThatIsPickedIsFoundAgain) {
  write_lines({video(1),
               video(2),
               {{"prompt", "x"}, {"steps", 2}, {"seed", -1}},
               {{"prompt", "x"}, {"steps", 2}, {"seed", -1}}});
  const ProgramResult result = run_cogvx_gen(batch({"--cp", "2"}));
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::vector<json> results = objects_in(result.out);
  const json third = results[2]["request"]["seed"], fourth = results[3]["request"]["seed"];
  EXPECT_NE(third, fourth);
  expect_alone("1", video(1));
  expect_alone("3", {{"prompt", "x"}, {"steps", 2}, {"seed", third}});
  const ProgramResult again = run_cogvx_gen(batch({"--resume-batch"}));
  ASSERT_EQ(again.exit_code, 0) << again.err;
  for (const json& one : objects_in(again.out)) EXPECT_TRUE(one.value("skipped", false));
  EXPECT_EQ(objects_in(again.out)[2]["request"]["seed"], third);
  write_lines({video(2), video(1)});
  ASSERT_EQ(run_cogvx_gen(batch({"--overwrite"})).exit_code, 0);
  expect_alone("1", video(2));
  expect_alone("2", video(1));
}

TEST_F(Batch, AdaptersAreFusedAnewOnlyWhereTheyChangeAndVideosAreEncodedByOneEncoder) {
  model_ = path("model");
  write_runnable_checkpoint("tiny-2b", model_);
  const auto adapter = [](const char* name) {
    return (source_dir() / "tests" / "goldens" / "lora" / (std::string(name) + ".safetensors"))
        .string();
  };
  const json one = {adapter("tiny-2b.peft")}, two = {adapter("tiny-2b.peft") + ":0.5"};
  write_lines({video(1)});
  ASSERT_EQ(run_cogvx_gen(batch({"--frames", "9", "-o", path("clip.mp4")})).exit_code, 0);
  const json clip = {{"task", "v2v"}, {"video", path("clip.mp4")}, {"frames", 9}};
  const std::vector<json> lines = {video(1),
                                   video(2, {{"lora", one}}),
                                   video(3, {{"lora", one}}),
                                   video(4, {{"lora", two}}),
                                   video(5, clip),
                                   video(6, clip)};
  write_lines(lines);
  const ProgramResult result = run_cogvx_gen(batch());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (size_t i = 0; i < lines.size(); ++i) expect_alone(std::to_string(i + 1), lines[i]);
  const json last = objects_in(result.out).back();
  EXPECT_EQ(loads_of(last, "transformer"), 4);
  EXPECT_EQ(loads_of(last, "vae"), 1);
  EXPECT_EQ(loads_of(last, "vae_encoder"), 1);
  // What it was made from has changed since: it is not the video that was asked for.
  fs::copy_file(path("v/1.mp4"), path("clip.mp4"), fs::copy_options::overwrite_existing);
  ASSERT_EQ(run_cogvx_gen(common({"-p", "x", "--seed", "9", "--steps", "2", "--frames", "9", "-o",
                                  path("clip.mp4"), "--overwrite"}))
                .exit_code,
            0);
  const ProgramResult changed = run_cogvx_gen(batch({"--resume-batch"}));
  EXPECT_EQ(changed.exit_code, 2) << changed.err;
  EXPECT_NE(changed.err.find("b.jsonl:5: "), std::string::npos) << changed.err;
  EXPECT_NE(changed.err.find("other pixels"), std::string::npos) << changed.err;
}

TEST_F(Batch, APromptThatIsTooLongIsSaidOfItsLine) {
  std::string words;
  for (int i = 0; i < 40; ++i) words += "word ";
  write_lines({video(1), video(2, {{"prompt", words}})});
  const ProgramResult cut = run_cogvx_gen(batch());
  EXPECT_EQ(cut.exit_code, 0);
  EXPECT_NE(cut.err.find("warning: " + path("b.jsonl") + ":2: --prompt is longer"),
            std::string::npos)
      << cut.err;
  for (const Flags& mesh : {Flags{}, Flags{"--cp", "2"}}) {
    const ProgramResult refused =
        run_cogvx_gen(batch(with(mesh, {"--strict-prompt", "--overwrite"})));
    EXPECT_EQ(refused.exit_code, 2) << refused.err;
    EXPECT_EQ(refused.out, "");
    EXPECT_NE(refused.err.find(path("b.jsonl") + ":2: --prompt is longer"), std::string::npos)
        << refused.err;
    // The same command would be refused again.
    EXPECT_EQ(refused.err.find("--resume-batch"), std::string::npos) << refused.err;
  }
}

TEST_F(Batch, AVideoWhoseNameCannotBePrintedCountsAsMade) {
  write_lines({video(1), video(2)});
  const ProgramResult result =
      run_cogvx_gen({.arguments = batch(), .shell = "exec \"$@\" > /dev/full"});
  EXPECT_EQ(result.exit_code, 9) << result.err;
  EXPECT_NE(result.err.find("the video is in " + path("v/1.mp4")), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("1 of 2 videos are there"), std::string::npos) << result.err;
}

TEST_F(Batch, AShardWithoutALineSaysSo) {
  write_lines({video(1), video(2)});
  for (const Flags& mesh : {Flags{}, Flags{"--cp", "2"}}) {
    const ProgramResult result = run_cogvx_gen(batch(with(mesh, {"--shard", "3/4"})));
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_NE(result.err.find("no video is of --shard 3/4"), std::string::npos) << result.err;
    EXPECT_TRUE(names_in(path("v")).empty());
  }
}

TEST_F(Batch, AnotherCheckpointDoesNotGoOnWithABatch) {
  model_ = path("model");
  link_demo_model(model_);
  write_lines({video(1), video(2)});
  ASSERT_EQ(run_cogvx_gen(batch()).exit_code, 0);
  fs::remove(path("v/2.mp4"));
  fs::remove(path("v/2.json"));
  const fs::path weights = fs::path(model_) / "transformer/diffusion_pytorch_model.safetensors";
  RawSafetensors other = RawSafetensors::load(weights);
  other.poke("proj_out.bias", /*bits=*/0);
  other.save(weights);
  const ProgramResult result = run_cogvx_gen(batch({"--resume-batch"}));
  EXPECT_EQ(result.exit_code, 3) << result.err;
  EXPECT_NE(result.err.find("the transformer is not the one in " + path("v/1.json")),
            std::string::npos)
      << result.err;
  EXPECT_FALSE(fs::exists(path("v/2.mp4")));
}

}  // namespace
}  // namespace cogvx::test
