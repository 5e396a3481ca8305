// --batch as its users run it: many small videos of the demo model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/support/demo_run.h"
#include "tests/support/program.h"

namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using Flags = std::vector<std::string>;

Flags with(Flags flags, const Flags& more) {
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

void write_file(const fs::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

class Batch : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write_batch(const std::string& text, const std::string& name = "batch.jsonl") const {
    write_file(path(name), text);
    return path(name);
  }
  Flags command(const Flags& more) const {
    return with({"--model", demo_model(), "--steps", "2", "--frames", "9", "--threads", "1",
                 "--progress", "none", "--allow-untrained-size"},
                more);
  }
  ProgramResult run(const Flags& more, const std::string& input = "") const {
    return run_cogvx_gen(command(more), input);
  }
  std::vector<json> lines_of(const std::string& text) const {
    std::vector<json> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(json::parse(line));
    return lines;
  }
  std::string hash_of(const std::string& video) const {
    const fs::path sidecar = fs::path(path(video)).replace_extension(".json");
    return json::parse(read_file(sidecar)).at("sha256_frames");
  }
  // The names that end so, without folder.
  std::vector<std::string> videos() const {
    std::vector<std::string> names = names_in(folder_.path());
    std::erase_if(names, [](const std::string& name) {
      return !name.ends_with(".mkv") || name.starts_with("single");
    });
    return names;
  }

  TemporaryFolder folder_;
};

// Twenty videos, two of which cannot be made: one begins with a damaged video, the numbers of the
// other have no end.
class BatchOfTwenty : public Batch {
 protected:
  static constexpr int kItems = 20, kDamaged = 5, kEndless = 12;

  BatchOfTwenty() {
    write_file(path("damaged.mp4"), "no video at all");
    std::string text;
    for (int i = 1; i <= kItems; ++i) text += line(i).dump() + "\n";
    write_batch(text);
  }
  json line(int i) const {
    json item = {{"prompt", kPrompts[i % 3]}, {"seed", 100 + i}};
    if (i == kDamaged) item["video"] = path("damaged.mp4");
    if (i == kEndless) item["guidance-scale"] = 1e38;
    return item;
  }
  Flags batch(const Flags& more = {}) const {
    return with({"--batch", path("batch.jsonl"), "-o", path("{index}.mkv"), "--lossless"}, more);
  }
  static bool fails(int i) { return i == kDamaged || i == kEndless; }
  static std::string name(int i) { return (i < 10 ? "0" : "") + std::to_string(i) + ".mkv"; }

  // Each video is there once, with the bytes of a run of its own.
  void expect_all_as_one_by_one() {
    for (int i = 1; i <= kItems; ++i) {
      SCOPED_TRACE("item " + std::to_string(i));
      EXPECT_EQ(fs::exists(path(name(i))), !fails(i));
      if (fails(i) || i % 4 != 0) continue;  // every fourth stands for all: a run takes a second
      const ProgramResult single = run({"-p", kPrompts[i % 3], "--seed", std::to_string(100 + i),
                                        "-o", path("single.mkv"), "--lossless", "--overwrite"});
      ASSERT_EQ(single.exit_code, 0) << single.err;
      EXPECT_EQ(hash_of(name(i)), hash_of("single.mkv"));
      EXPECT_EQ(read_file(path(name(i))), read_file(path("single.mkv")));
    }
    EXPECT_EQ(std::ssize(videos()), kItems - 2);
    for (const std::string& left : names_in(folder_.path())) {
      EXPECT_FALSE(left.ends_with(".safetensors")) << left;
      EXPECT_FALSE(left.starts_with(".")) << left;
    }
  }

  static constexpr const char* kPrompts[] = {"a green square moves up on a white background",
                                             "a red circle moves right on a blue background",
                                             "a yellow star grows on a black background"};
};

TEST_F(BatchOfTwenty, MakesWhatCanBeMadeAndLoadsOnce) {
  const ProgramResult result = run(batch({"--json"}));
  EXPECT_EQ(result.exit_code, 8) << result.err;
  EXPECT_THAT(result.err, HasSubstr("2 of 20 videos could not be made"));
  EXPECT_THAT(result.err, ContainsRegex("batch.jsonl:5: .*05.mkv: .*damaged.mp4"));
  EXPECT_THAT(result.err, ContainsRegex("batch.jsonl:12: .*12.mkv: .*not finite"));
  EXPECT_THAT(result.err, HasSubstr("18 made, 0 there already, 2 failed, 0 not begun"));
  const std::vector<json> objects = lines_of(result.out);
  ASSERT_EQ(objects.size(), 20U);
  for (size_t i = 0; i < objects.size(); ++i) {
    EXPECT_EQ(objects[i].at("index"), i + 1);
    EXPECT_EQ(objects[i].contains("error"), fails(static_cast<int>(i) + 1));
  }
  EXPECT_EQ(objects[kDamaged - 1].at("exit_code"), 3);
  EXPECT_EQ(objects[kEndless - 1].at("exit_code"), 6);
  const json& loads = objects.back().at("loads");
  for (const char* part : {"tokenizer", "text_encoder", "transformer", "vae"})
    EXPECT_EQ(loads.at(part), 1) << part;
  expect_all_as_one_by_one();
}

TEST_F(BatchOfTwenty, KilledAndResumedInTwoShardsMakesEachVideoOnce) {
  std::map<std::string, fs::file_time_type> before;
  for (const char* shard : {"1/2", "2/2"}) {
    run_and_act({.arguments = command(batch({"--shard", shard}))}, "[4/10] latents are safe",
                [](const Program& program) { program.send(SIGKILL); });
  }
  const size_t made = videos().size();
  EXPECT_GE(made, 4U);
  EXPECT_LT(made, 18U);
  for (const std::string& video : videos()) before[video] = fs::last_write_time(path(video));
  std::multiset<int64_t> indices;
  int64_t there = 0;
  for (const char* shard : {"2/2", "1/2"}) {
    const ProgramResult result = run(batch({"--shard", shard, "--resume-batch", "--json"}));
    EXPECT_EQ(result.exit_code, 8) << result.err;
    for (const json& object : lines_of(result.out)) {
      if (!object.contains("error")) indices.insert(object.at("index").get<int64_t>());
    }
    const size_t at = result.err.rfind(" there already");
    ASSERT_NE(at, std::string::npos) << result.err;
    there += std::stoll(result.err.substr(result.err.rfind(' ', at - 1) + 1));
  }
  EXPECT_EQ(there, static_cast<int64_t>(made));
  EXPECT_EQ(indices.size() + made, 18U);
  EXPECT_EQ(std::set<int64_t>(indices.begin(), indices.end()).size(), indices.size());
  for (const auto& [video, time] : before) EXPECT_EQ(fs::last_write_time(path(video)), time);
  expect_all_as_one_by_one();
  const ProgramResult again = run(batch({"--resume-batch"}));
  EXPECT_EQ(again.exit_code, 8);
  EXPECT_THAT(again.err, HasSubstr("0 made, 18 there already, 2 failed"));
}

TEST_F(BatchOfTwenty, FailFastEndsAtTheFirst) {
  const ProgramResult result = run(batch({"--fail-fast"}));
  EXPECT_EQ(result.exit_code, 8) << result.err;
  EXPECT_THAT(result.err, HasSubstr("4 made, 0 there already, 1 failed, 15 not begun"));
  EXPECT_EQ(videos().size(), 4U);
}

TEST_F(BatchOfTwenty, TwoProcessesMakeTheVideosOfOne) {
  const ProgramResult result = run(batch({"--sp", "2", "--json"}));
  EXPECT_EQ(result.exit_code, 8) << result.err;
  EXPECT_THAT(result.err, HasSubstr("18 made, 0 there already, 2 failed, 0 not begun"));
  const std::vector<json> objects = lines_of(result.out);
  ASSERT_EQ(objects.size(), 20U);
  // What one video moved, and not what those before it did.
  EXPECT_EQ(objects[0].at("bytes_sent"), objects[18].at("bytes_sent"));
  expect_all_as_one_by_one();
}

TEST_F(BatchOfTwenty, CtrlCKeepsTheStepAndSaysHowToGoOn) {
  const ProgramResult stopped =
      run_and_act({.arguments = with(command(batch({"--progress", "json"})), {"--steps", "40"})},
                  R"("item":2,"items":20,"part":0.0,"stage":"denoise")",
                  [](const Program& program) { program.send(SIGINT); });
  EXPECT_EQ(stopped.exit_code, 130) << stopped.err;
  EXPECT_THAT(stopped.err, HasSubstr("1 of 20 videos are made, go on with --resume-batch"));
  EXPECT_EQ(videos().size(), 1U);
}

class BatchOfThree : public Batch {};

TEST_F(BatchOfThree, ReadsPromptsFromATextAndFromStandardInput) {
  const std::string prompts =
      "a red circle moves right on a blue background\r\n\n  \n"
      "a blue star shrinks on a red background\n";
  write_batch(prompts, "prompts.txt");
  const Flags output = {"-o", path("{index}-{seed}-{slug}.mkv"), "--lossless"};
  EXPECT_EQ(run(with({"--batch", path("prompts.txt")}, output)).exit_code, 0);
  const std::vector<std::string> made = videos();
  EXPECT_EQ(made,
            (std::vector<std::string>{"1-42-a-red-circle-moves-right-on-a-blue-background.mkv",
                                      "2-42-a-blue-star-shrinks-on-a-red-background.mkv"}));
  const ProgramResult piped =
      run(with({"--batch", "-", "--resume-batch", "--sp", "2"}, output), prompts);
  EXPECT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_THAT(piped.err, HasSubstr("0 made, 2 there already"));
  const ProgramResult lines = run(with({"--batch", "-"}, output),
                                  R"({"prompt": "a black star grows on a white background"})");
  EXPECT_EQ(lines.exit_code, 0) << lines.err;
  EXPECT_EQ(videos().size(), 3U);
}

TEST_F(BatchOfThree, AVideoDoesNotDependOnItsPlace) {
  const json a = {{"prompt", "a red circle moves right on a blue background"}, {"seed", 5}};
  const json b = {{"prompt", "a blue star shrinks on a red background"}};
  const auto make = [&](const std::string& name, const std::vector<json>& items) {
    std::string text;
    for (const json& item : items) text += item.dump() + "\n";
    const ProgramResult result = run({"--batch", write_batch(text, name + ".jsonl"), "-o",
                                      path(name + "-{index}.mkv"), "--lossless"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
  };
  make("ab", {a, b, b});
  make("ba", {b, a});
  EXPECT_EQ(hash_of("ab-1.mkv"), hash_of("ba-2.mkv"));
  EXPECT_EQ(hash_of("ab-2.mkv"), hash_of("ba-1.mkv"));
  EXPECT_EQ(hash_of("ab-2.mkv"), hash_of("ab-3.mkv"));
  EXPECT_NE(hash_of("ab-1.mkv"), hash_of("ab-2.mkv"));
}

TEST_F(BatchOfThree, ASeedThatWasPickedIsKeptByAResumedBatch) {
  write_batch(R"({"prompt": "a red circle moves right on a blue background", "seed": -1})"
              "\n");
  const Flags flags = {
      "--batch", path("batch.jsonl"), "-o", path("{index}.mkv"), "--lossless", "--sp", "2"};
  EXPECT_EQ(run(flags).exit_code, 0);
  const ProgramResult again = run(with(flags, {"--resume-batch"}));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.err, HasSubstr("0 made, 1 there already"));
  const ProgramResult named =
      run({"--batch", path("batch.jsonl"), "-o", path("{seed}.mkv"), "--resume-batch"});
  EXPECT_EQ(named.exit_code, 2);
  EXPECT_THAT(named.err, HasSubstr("cannot find a video whose name holds a seed"));
}

TEST_F(BatchOfThree, WhatAnotherRequestMadeIsNotTakenForDone) {
  write_batch("{\"prompt\": \"a red circle moves right on a blue background\"}\n");
  const Flags flags = {"--batch", path("batch.jsonl"), "-o", path("{index}.mkv"), "--lossless"};
  EXPECT_EQ(run(flags).exit_code, 0);
  const ProgramResult other = run(with(flags, {"--resume-batch", "--seed", "43"}));
  EXPECT_EQ(other.exit_code, 2) << other.err;
  EXPECT_THAT(other.err, AllOf(HasSubstr("batch.jsonl:1: "), HasSubstr("exists")));
  const ProgramResult replaced =
      run(with(flags, {"--resume-batch", "--seed", "43", "--overwrite"}));
  EXPECT_EQ(replaced.exit_code, 0) << replaced.err;
  EXPECT_THAT(replaced.err, HasSubstr("1 made, 0 there already"));
}

TEST_F(BatchOfThree, FlagsOfTheCommandLineAreThoseOfEveryLine) {
  write_batch("{\"seed\": 1}\n{\"seed\": 1, \"prompt\": \"a blue star\"}\n");
  const ProgramResult result = run({"--batch", path("batch.jsonl"), "-p", "a red circle", "-o",
                                    path("{index}.mkv"), "--lossless"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto prompt_of = [&](const std::string& sidecar) {
    return json::parse(read_file(path(sidecar))).at("request").at("prompt");
  };
  EXPECT_EQ(prompt_of("1.json"), "a red circle");
  EXPECT_EQ(prompt_of("2.json"), "a blue star");
}

struct BadBatch {
  const char* text;
  int code;
  const char* words;
};

TEST_F(BatchOfThree, EveryLineIsCheckedBeforeTheFirstIsMade) {
  const std::string good = R"({"prompt": "a red circle moves right on a blue background"})"
                           "\n";
  const BadBatch cases[] = {
      {R"({"prompt": "a", "stpes": 3})", 3, "batch.jsonl:2: unknown key 'stpes', did you mean"},
      {R"({"prompt": "a", "steps": "3"})", 3, "batch.jsonl:2: 'steps' is \"3\", wanted a number"},
      {R"({"prompt": "a")", 3, "batch.jsonl:2: "},
      {R"(["a"])", 3, "batch.jsonl:2: "},
      {R"({"seed": 3})", 2, "batch.jsonl:2: --prompt is missing"},
      {R"({"prompt": "a", "width": 65})", 2, "batch.jsonl:2: --width x --height is 65x64"},
      {R"({"prompt": "a", "threads": 3})", 2,
       "batch.jsonl:2: 'threads' is one for the whole batch; give --threads on the command line"},
      {R"({"prompt": "a", "model": "x"})", 2, "batch.jsonl:2: 'model' is one for the whole batch"},
      {R"({"prompt": "a", "dtype": "bf16"})", 2, "batch.jsonl:2: 'dtype' is one for"},
      {R"({"prompt": "a", "num-frames": 9, "frames": 9})", 3, "batch.jsonl:2: "},
      {R"({"prompt": "a", "output": "{nonsense}.mp4"})", 2, "batch.jsonl:2: "},
      {R"({"prompt": "a", "video": "/nowhere.mp4"})", 3,
       "batch.jsonl:2: --video /nowhere.mp4: no such file"},
      {R"({"prompt": "a", "output": "same.mkv"}
{"prompt": "b", "output": "same.mkv"})",
       2, "batch.jsonl:3: would write 'same.mkv', as "},
      {"{\"prompt\": \"a\", \"steps\": 0}\n{\"prompt\": \"a\", \"steps\": 0}", 2,
       "(1 more wrong: line 3)"}};
  for (const BadBatch& bad : cases) {
    SCOPED_TRACE(bad.text);
    write_batch(good + bad.text);
    // Several processes are started only for what is good.
    for (const char* sp : {"1", "2"}) {
      if (sp[0] == '2' && &bad - cases > 1) break;
      const ProgramResult result = run(
          {"--batch", path("batch.jsonl"), "-o", path("{index}.mkv"), "--lossless", "--sp", sp});
      EXPECT_EQ(result.exit_code, bad.code) << result.err;
      EXPECT_THAT(result.err, HasSubstr(bad.words));
      EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
      EXPECT_TRUE(videos().empty());
    }
  }
}

TEST_F(BatchOfThree, FlagsThatMeanOneVideoDoNotGoWithABatch) {
  write_batch("{\"prompt\": \"a\"}\n");
  const std::string batch = path("batch.jsonl");
  const std::pair<Flags, const char*> cases[] = {
      {{"--batch", batch, "--prompt-file", "a"}, "--batch and --prompt-file are both given"},
      {{"--batch", batch, "--resume", "x"}, "--batch and --resume are both given"},
      {{"-p", "a", "--shard", "1/2"}, "--shard is for a batch"},
      {{"-p", "a", "--fail-fast"}, "--fail-fast is for a batch"},
      {{"-p", "a", "--resume-batch"}, "--resume-batch is for a batch"},
      {{"--batch", batch, "--shard", "3/2"}, "--shard is '3/2', wanted I/N"},
      {{"--batch", batch, "--shard", "0/2"}, "--shard is '0/2', wanted I/N"},
      {{"--batch", batch, "--shard", "half"}, "--shard is 'half', wanted I/N"}};
  for (const auto& [flags, words] : cases) {
    const ProgramResult result = run(flags);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_THAT(result.err, HasSubstr(words));
  }
  EXPECT_EQ(run({"--batch", path("none.jsonl")}).exit_code, 3);
}

}  // namespace
}  // namespace cogvx::test
