#include "app/options.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/base/errors.h"
#include "io/atomic_file.h"
#include "tests/support/test_paths.h"

namespace cogvx::app {
namespace {

Options parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "cogvx-gen");
  return parse_options(static_cast<int>(arguments.size()), arguments.data());
}

std::string usage_error(const std::vector<const char*>& arguments) {
  try {
    parse(arguments);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Options, DashesUnderscoresAndAliasesMeanTheSame) {
  const Options dashed = parse({"--num-frames", "9", "--num-inference-steps=7", "--guidance-scale",
                                "3.5", "--prompt", "a_b"});
  EXPECT_EQ(dashed, parse({"--frames", "9", "--steps", "7", "-g", "3.5", "-p", "a_b"}));
  EXPECT_EQ(dashed, parse({"--num_frames", "9", "--num_inference_steps=7", "--guidance_scale",
                           "3.5", "--prompt", "a_b"}));
  EXPECT_EQ(dashed.prompt, "a_b");
}

TEST(Options, AnEmptyPromptIsAPromptAndTheLastFlagWins) {
  EXPECT_EQ(parse({"--prompt", ""}).prompt, "");
  EXPECT_FALSE(parse({}).prompt.has_value());
  EXPECT_EQ(parse({"--seed", "1", "--seed", "-1"}).seed, -1);
}

TEST(Options, WrongValuesNameFlagValueAndWhatIsWanted) {
  EXPECT_EQ(usage_error({"--seed", "1.5"}), "--seed is '1.5', wanted a whole number");
  EXPECT_EQ(usage_error({"--guidance-scale", "nan"}), "--guidance-scale is 'nan', wanted a number");
  EXPECT_EQ(usage_error({"--dtype", "int8"}),
            "--dtype is 'int8', wanted one of: auto, fp32, bf16, fp16");
  EXPECT_NE(usage_error({"--frame", "9"}).find("--frame"), std::string::npos);
  EXPECT_NE(usage_error({"--steps"}).find("--steps"), std::string::npos);
}

TEST(Options, JsonHoldsEveryOptionAndGivesThemBack) {
  const Options options =
      parse({"--model", "m", "-p", "x \"y\"", "--frames", "17", "--fps", "30000/1001", "-g", "1.25",
             "--json", "--threads", "3", "--seed", "9", "--allow-untrained-size"});
  Options back;
  apply_json(options_to_json(options), "test", back);
  EXPECT_EQ(back, options);
}

TEST(Options, InputsAndAdaptersAreHeldToo) {
  const Options options = parse({"--task", "v2v", "--image", "i.png", "--video", "v.mp4",
                                 "--video-frames-from", "3", "--resize-mode", "pad", "--strength",
                                 "0.25", "--lora", "a.safetensors", "--lora", "b:c:-0.5"});
  EXPECT_EQ(options.lora, (std::vector<std::string>{"a.safetensors", "b:c:-0.5"}));
  EXPECT_EQ(options.strength, 0.25);
  Options back;
  back.lora = {"replaced"};
  apply_json(options_to_json(options), "test", back);
  EXPECT_EQ(back, options);
}

TEST(Options, AdaptersGivenAsFlagsReplaceTheConfigsList) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "c.json";
  io::write_text_file(path, R"({"lora": ["a", "b:0.5"]})");
  EXPECT_EQ(parse({"--config", path.c_str()}).lora, (std::vector<std::string>{"a", "b:0.5"}));
  EXPECT_EQ(parse({"--config", path.c_str(), "--lora", "c"}).lora, std::vector<std::string>{"c"});
}

TEST(Options, FlagsWinOverTheConfigFile) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "c.json";
  io::write_text_file(path,
                      R"({"steps": 12, "seed": 5, "prompt": "from file", "overwrite": true})");
  const Options options = parse({"--seed", "6", "--config", path.c_str()});
  EXPECT_EQ(options.steps, 12);
  EXPECT_EQ(options.seed, 6);
  EXPECT_EQ(options.prompt, "from file");
  EXPECT_TRUE(options.overwrite);
}

TEST(Options, AConfigFileWithAnUnknownKeyOrAWrongTypeIsNamed) {
  Options options;
  EXPECT_THROW(apply_json({{"stepz", 3}}, "c.json", options), DataError);
  EXPECT_THROW(apply_json({{"steps", "3"}}, "c.json", options), DataError);
  EXPECT_THROW(apply_json({{"dtype", "int8"}}, "c.json", options), DataError);
  EXPECT_THROW(apply_json({{"lora", "a"}}, "c.json", options), DataError);
  EXPECT_THROW(apply_json({{"lora", {1}}}, "c.json", options), DataError);
  EXPECT_THROW(apply_json({{"strength", "0.5"}}, "c.json", options), DataError);
}

TEST(Options, HelpAndCompletionNameEveryOptionOnce) {
  std::ostringstream help, completion;
  print_help(help);
  print_completion(completion);
  std::set<std::string> seen;
  for (const OptionSpec& spec : option_table()) {
    for (const std::string& name : spec.names) {
      EXPECT_TRUE(seen.insert(name).second) << name << " stands twice in the table";
      EXPECT_NE(help.str().find(name), std::string::npos) << name;
      EXPECT_NE(completion.str().find(name), std::string::npos) << name;
    }
  }
}

}  // namespace
}  // namespace cogvx::app
