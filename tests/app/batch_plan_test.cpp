#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "app/batch.h"
#include "core/base/errors.h"
#include "io/atomic_file.h"
#include "tests/support/demo_run.h"
#include "tests/support/test_paths.h"

// The lines of a batch as items, checked with nothing loaded.
namespace cogvx::app {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class BatchPlan : public testing::Test {
 protected:
  // In the test's folder, which relative names are in.
  BatchPlan() : before_(std::filesystem::current_path()) {
    std::filesystem::current_path(folder_.path());
    options_.model = test::demo_model();
    options_.batch = "b.jsonl";
  }
  ~BatchPlan() override { std::filesystem::current_path(before_); }

  std::vector<Item> plan(const std::string& text, Role role = Role::kWritesResults) const {
    return plan_batch(options_, text, checkpoint_, {.role = role});
  }
  template <typename E>
  std::string refusal(const std::string& text) const {
    try {
      plan(text);
    } catch (const E& error) {
      return error.what();
    } catch (const Error& error) {
      return std::string("of another kind: ") + error.what();
    }
    return "no error";
  }

  test::TemporaryFolder folder_;
  std::filesystem::path before_;
  Options options_;
  Checkpoint checkpoint_ = open_checkpoint(test::demo_model());
};

TEST_F(BatchPlan, ALineWinsOverTheCommandLine) {
  options_.steps = 7;
  options_.seed = 5;
  options_.vae_tile = "48x40";
  options_.codec = "h264";
  const std::vector<Item> items = plan(
      "{\"prompt\": \"a\"}\n\n"
      "{\"prompt\": \"b\", \"num-inference-steps\": 3, \"seed\": 9, \"vae_tiling\": \"off\", "
      "\"lossless\": true, \"guidance-scale\": 1.5}\n");
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0].plan.request.steps, 7);
  EXPECT_EQ(items[0].plan.request.seed, 5U);
  EXPECT_EQ(items[0].plan.request.vae_tile.height, 48);
  EXPECT_EQ(items[1].plan.request.steps, 3);
  EXPECT_EQ(items[1].plan.request.seed, 9U);
  EXPECT_EQ(items[1].plan.request.vae_tile.height, 0);
  EXPECT_EQ(items[1].plan.request.guidance_scale, 1.5);
  EXPECT_EQ(items[0].label, "b.jsonl:1");
  EXPECT_EQ(items[1].label, "b.jsonl:3");
  EXPECT_EQ(items[0].plan.output.video, "1-a.mp4");
  EXPECT_EQ(items[1].plan.output.video, "2-b.mkv");
}

TEST_F(BatchPlan, AShardHasTheNamesOfTheWholeBatch) {
  std::string text;
  for (int i = 0; i < 12; ++i) text += "{\"prompt\": \"same\"}\n";
  std::vector<std::string> names(12);
  for (const char* shard : {"1/5", "2/5", "3/5", "4/5", "5/5"}) {
    options_.shard = shard;
    for (const Item& item : plan(text)) {
      EXPECT_EQ((item.index - 1) % 5, shard[0] - '1') << shard;
      EXPECT_EQ(names[item.index - 1], "");
      names[item.index - 1] = item.plan.output.video;
    }
  }
  EXPECT_EQ(names.front(), "01-same.mp4");
  EXPECT_EQ(names.back(), "12-same.mp4");
  EXPECT_THAT(names, testing::Each(testing::Ne("")));
}

TEST_F(BatchPlan, AShardRefusesAnothersLineButNotItsFiles) {
  options_.shard = "2/2";
  io::write_text_file("1-a.mp4", "made by the other shard");
  EXPECT_EQ(plan("{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}").size(), 1U);
  EXPECT_THAT(refusal<UsageError>("{\"prompt\": \"a\", \"steps\": 0}\n{\"prompt\": \"b\"}"),
              StartsWith("b.jsonl:1: "));
  EXPECT_EQ(plan("{\"prompt\": \"a\", \"steps\": 0}\n{\"prompt\": \"b\"}", Role::kHelps).size(),
            1U);
  for (const char* shard : {"0/2", "3/2", "1", "1/", "/2", "a/b", "1/2/3", "-1/2", "1/0"}) {
    options_.shard = shard;
    EXPECT_THAT(refusal<UsageError>("{\"prompt\": \"a\"}"), HasSubstr("wanted I/N")) << shard;
  }
}

TEST_F(BatchPlan, WrongLinesAreNamedWithWhatIsWrong) {
  io::write_text_file("taken.mp4", "x");
  struct Case {
    const char* line;
    const char* says;
    bool usage = false;
  };
  const Case cases[] = {
      {"{\"prompt\": \"x\", \"stpes\": 3}", "unknown key 'stpes', did you mean 'steps'?"},
      {"{\"prompt\": \"x\"", "is not JSON"},
      {"{\"prompt\": \"x\", \"steps\": \"3\"}", "'steps' is \"3\", wanted a number"},
      {"{\"prompt\": \"x\", \"steps\": 3, \"num-inference-steps\": 3}", "'steps' is given twice"},
      {"{\"prompt\": \"x\", \"threads\": 3}", "give --threads on the command line"},
      {"{\"prompt\": \"x\", \"model\": \"m\"}", "give --model on the command line"},
      {"{\"prompt\": \"x\", \"dtype\": \"bf16\"}", "give --dtype on the command line"},
      {"{\"prompt\": \"x\", \"max-text-tokens\": 9}", "give --max-text-tokens on the command line"},
      {"{\"prompt\": \"x\", \"batch\": \"c\"}", "give --batch on the command line"},
      {"{\"prompt\": \"x\", \"dump_config\": true}", "give --dump-config on the command line"},
      {"{\"prompt\": \"x\", \"resume\": \"s\"}", "--resume-batch goes on"},
      {"{\"prompt_file\": \"-\"}", "would share standard input"},
      {"{\"prompt_file\": \"missing.txt\"}", "cannot be read"},
      {"{\"prompt\": \"x\", \"video\": \"missing.mp4\", \"task\": \"v2v\"}",
       "--video missing.mp4: cannot be read"},
      {"{\"prompt\": \"x\", \"lora\": [\"missing.safetensors:0.5\"]}",
       "--lora missing.safetensors: cannot be read"},
      {"{\"seed\": 3}", "--prompt is missing", true},
      {"{\"prompt\": \"x\", \"steps\": 0}", "steps", true},
      {"{\"prompt\": \"x\", \"width\": 97}", "--width x --height", true},
      {"{\"prompt\": \"a\\u0000b\"}", "--prompt", true},
      {"{\"prompt\": \"x\", \"output\": \"{indx}.mp4\"}", "'{indx}' is unknown", true},
      {"{\"prompt\": \"x\", \"output\": \"taken.mp4\"}", "exists", true},
      {"{\"prompt\": \"x\", \"output\": \"1-first.mp4\"}", "and line 1 writes it too", true},
      {"{\"prompt\": \"x\", \"output\": \"./1-first.mkv\", \"lossless\": true}",
       "'./1-first.json' would be its sidecar, and line 1", true},
      {"{\"prompt\": \"x\", \"frames_dir\": \"1-first.mp4\"}", "and line 1 writes it too", true},
      {"{\"prompt\": \"x\", \"output\": \"1-first.json\"}", ".mp4", true},
  };
  for (const Case& c : cases) {
    const std::string text = std::string("{\"prompt\": \"first\"}\n\n") + c.line + "\n";
    const std::string says = c.usage ? refusal<UsageError>(text) : refusal<DataError>(text);
    EXPECT_THAT(says, StartsWith("b.jsonl:3: ")) << c.line;
    EXPECT_THAT(says, HasSubstr(c.says)) << c.line;
  }
}

TEST_F(BatchPlan, TheFirstWrongLineTellsOfTheOthers) {
  std::string text = "{\"prompt\": \"a\"}\n{\"stpes\": 3}\n";
  EXPECT_THAT(refusal<DataError>(text), testing::Not(HasSubstr("also wrong")));
  text += "[]\n";
  EXPECT_THAT(refusal<DataError>(text), testing::EndsWith("; also wrong: line 3"));
  for (int i = 0; i < 6; ++i) text += "{\n";
  EXPECT_THAT(refusal<DataError>(text),
              testing::EndsWith("; also wrong: lines 3, 4, 5, 6, 7 and 2 more"));
}

TEST_F(BatchPlan, WhatALineReadsNoOtherWrites) {
  options_.overwrite = true;
  for (const char* name : {"clip.mp4", "start.png", "style.safetensors", "words.txt"})
    io::write_text_file(name, "x");
  std::filesystem::create_directory("frames");
  io::write_text_file("frames/000000.png", "x");
  std::filesystem::create_symlink("clip.mp4", "link.mp4");
  const std::string clip = R"("output": "./clip.mp4")";
  struct Case {
    std::string reads, writes;
  };
  const Case cases[] = {
      {R"("task": "v2v", "video": "clip.mp4")", clip},
      {R"("task": "v2v", "video": "link.mp4")", clip},
      {R"("task": "v2v", "video": "link.mp4")", R"("output": "link.mp4")"},
      {R"("lora": ["style.safetensors:0.5"])", R"("save_latents": "style.safetensors")"},
      {R"("prompt_file": "words.txt")", R"("trace": "words.txt")"},
      {R"("task": "v2v", "video": "frames/000000.png")", R"("frames_dir": "frames/")"},
  };
  for (const Case& c : cases) {
    const std::string prompt =
        c.reads.find("prompt") == std::string::npos ? R"("prompt": "a", )" : "";
    const std::string reads = "{" + prompt + c.reads + "}\n";
    const std::string writes = R"({"prompt": "b", )" + c.writes + "}\n";
    EXPECT_EQ(plan(reads + reads).size(), 2U) << c.reads;
    EXPECT_THAT(refusal<UsageError>(reads + writes),
                testing::AllOf(StartsWith("b.jsonl:2: '"), HasSubstr("and line 1 reads it")))
        << c.reads;
    EXPECT_THAT(refusal<UsageError>(writes + reads),
                testing::AllOf(StartsWith("b.jsonl:2: '"), HasSubstr("and line 1 writes it")))
        << c.reads;
  }
  // As a command of its own may.
  EXPECT_EQ(plan(R"({"prompt": "a", "task": "v2v", "video": "clip.mp4", )" + clip + "}").size(),
            1U);
}

TEST_F(BatchPlan, OneNameForAllIsRefused) {
  options_.output = "out.mp4";
  EXPECT_THAT(refusal<UsageError>("{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}"),
              StartsWith("b.jsonl:2: 'out.mp4' would be its video, and line 1 writes it too"));
  options_.output = "{seed}.mp4";
  EXPECT_EQ(plan("{\"prompt\": \"a\", \"seed\": 1}\n{\"prompt\": \"b\", \"seed\": 2}").size(), 2U);
  options_.resume_batch = true;
  EXPECT_THAT(refusal<UsageError>("{\"prompt\": \"a\", \"seed\": -1}"), HasSubstr("holds {seed}"));
}

}  // namespace
}  // namespace cogvx::app
