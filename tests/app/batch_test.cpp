#include "tests/app/batch_test_support.h"

#include <gtest/gtest.h>
#include <signal.h>

#include "tests/support/runnable_model.h"

namespace cogvx::test {
namespace {

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

}  // namespace
}  // namespace cogvx::test
