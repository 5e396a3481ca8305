#include "tests/app/batch_test_support.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/broken_files.h"

// What fails alone, what ends a batch, and what is refused before it begins.
namespace cogvx::test {
namespace {

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
