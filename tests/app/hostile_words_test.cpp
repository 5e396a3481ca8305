#include <gtest/gtest.h>

#include "tests/app/hostile_table.h"
#include "tests/support/broken_files.h"

// Prompts and flags that are wrong, or only strange.
namespace cogvx::test {
namespace {

std::string repeated(const std::string& text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

// The prompt comes from a file.
Row prompt_file(const std::string& input, int code, const std::string& says,
                const std::string& prompt, const std::vector<std::string>& more = {}) {
  Row row{.input = input,
          .code = code,
          .says = says,
          .arguments = {"--model", "{}/model", "--steps", "2", "--quiet", "--dtype", "fp32", "-o",
                        "{}/v.mp4", "--prompt-file", "{}/p.txt"},
          .prepare = [=](const Scene& scene) { put_file(scene / "p.txt", prompt); },
          .bare = true};
  row.arguments.insert(row.arguments.end(), more.begin(), more.end());
  return row;
}

TEST(HostileWords, Prompts) {
  const std::string latin_1 = "a caf\xe9 at night";
  const std::string million = repeated("a red circle ", 80000);
  run_rows({
      {"no prompt", 2, "--prompt is missing", {"--model", "{}/model"}, {}, {}, {}, true},
      {"--prompt and --prompt-file", 2, "both given", {"--prompt-file", "-"}},
      {"a prompt in Latin-1", 2, "not UTF-8 from byte 5", {"-p", latin_1}},
      {"a negative prompt in Latin-1",
       2,
       "--negative-prompt is not",
       {"--negative-prompt", latin_1}},
      {"a prompt of surrogates", 2, "not UTF-8", {"-p", "\xed\xa0\x80"}},
      {"a prompt cut in a letter", 2, "not UTF-8", {"-p", "caf\xc3"}},
      prompt_file("a prompt file with a NUL", 2, "NUL at byte 3", std::string("a r\0d", 5)),
      prompt_file("a prompt file in UTF-16", 2, "not UTF-8", std::string("\xff\xfe\x61\x00", 4)),
      prompt_file("a prompt of 1 MB", 0, "bytes more)", million),
      prompt_file("a prompt of 1 MB, --strict-prompt", 2, "drop --strict-prompt", million,
                  {"--strict-prompt"}),
      prompt_file("a prompt of 5 MB", 2, "longer than 4 MiB", repeated(million, 5)),
      {"a prompt of spaces", 0, "holds only spaces", {"-p", " \t  "}},
      {"a prompt in Chinese", 0, "not in Latin letters", {"-p", "红色圆圈向右移动"}},
      {"a prompt in Russian", 0, "not in Latin letters", {"-p", "красный круг"}},
      {"a prompt with one word too many",
       0,
       "cut off: '",
       {"-p", "a green square moves up on a white background and then it goes away"}},
      {"the same with --strict-prompt",
       2,
       "cut off: '",
       {"--strict-prompt", "-p",
        "a green square moves up on a white background and then it goes away"}},
      {"a negative prompt that nothing uses",
       0,
       "no effect",
       {"-g", "1", "--negative-prompt", "a circle"}},
  });
}

TEST(HostileWords, Flags) {
  run_rows({
      {"a flag with a slip", 2, "did you mean --steps?", {"--stepz", "3"}},
      {"a flag with swapped letters", 2, "did you mean --seed?", {"--sede", "3"}},
      {"a flag of another program", 2, "unknown flag '--use-deepspeed'", {"--use-deepspeed"}},
      {"a flag without its value", 2, "--seed", {"--seed"}},
      {"a prompt without quotes", 2, "a prompt stands in quotes", {"-p", "a", "red", "circle"}},
      {"--steps 0", 2, "nearest: 1", {"--steps", "0"}},
      {"--steps 1001", 2, "nearest: 1000", {"--steps", "1001"}},
      {"--steps 10^30", 2, "whole number", {"--steps", "1000000000000000000000000000000"}},
      {"--steps 2.5", 2, "whole number", {"--steps", "2.5"}},
      {"--width 100", 2, "nearest: 96x64", {"--width", "100"}},
      {"--width -96", 2, "nearest: 16x64", {"--width", "-96"}},
      {"--height 10^9", 2, "nearest: 96x8192", {"--height", "1000000000"}},
      {"a size the model was not trained on", 2, "trained at 96x64", {"--width", "112"}},
      {"--frames 0", 2, "nearest: 1", {"--frames", "0"}},
      {"--frames 10", 2, "nearest: 9", {"--frames", "10"}},
      {"--frames 10^6", 2, "nearest: 1024", {"--frames", "1000000"}},
      {"a tile off the grid", 2, "nearest: --vae-tile 48x40", {"--vae-tile", "50x41"}},
      {"a tile that is a word", 2, "wanted HxW", {"--vae-tile", "small"}},
      {"a tile and no tiling",
       2,
       "drop one of them",
       {"--vae-tile", "48x40", "--vae-tiling", "off"}},
      {"--guidance-scale nan", 2, "wanted a number", {"-g", "nan"}},
      {"--guidance-scale 1e999", 2, "wanted a number", {"-g", "1e999"}},
      {"--seed -2", 2, "wanted 0 or more", {"--seed", "-2"}},
      {"--seed 2^64", 2, "whole number", {"--seed", "18446744073709551616"}},
      {"--dtype int8", 2, "wanted one of: auto, fp32", {"--dtype", "int8"}},
      {"--dtype fp16 on a CPU", 2, "use --dtype fp32 or bf16", {"--dtype", "fp16"}},
      {"--scheduler euler", 2, "wanted one of: auto, ddim, dpm", {"--scheduler", "euler"}},
      {"--max-text-tokens 500", 2, "fix it at", {"--max-text-tokens", "500"}},
      {"--threads 0", 2, "nearest: 1", {"--threads", "0"}},
      {"--dist-timeout 0", 2, "nearest: 1", {"--dist-timeout", "0"}},
      {"--device cuda without one", 4, "CUDA", {"--device", "cuda"}},
      {"--launcher env without a launcher", 2, "are set", {"--launcher", "env"}},
      {"--launcher none with --sp 2", 2, "drop one of them", {"--launcher", "none", "--sp", "2"}},
      {"--cp 3", 2, "wanted 1 or 2", {"--cp", "3"}},
      {"--sp 0", 2, "wanted 1 or more", {"--sp", "0"}},
      {"--cp 2 without guidance", 2, "use --sp 2", {"--cp", "2", "-g", "1"}},
      {"--sp 2 with a bad size", 2, "nearest: 96x64", {"--sp", "2", "--width", "100"}},
      {"--fps 0", 2, "wanted frames per second", {"--fps", "0"}},
      {"--fps 24/0", 2, "wanted frames per second", {"--fps", "24/0"}},
      {"--fps 10^12", 2, "wanted frames per second", {"--fps", "1000000000000"}},
      {"--crf 52", 2, "nearest: 51", {"--crf", "52"}},
      {"--codec av1", 2, "wanted one of: auto, h264, hevc, ffv1", {"--codec", "av1"}},
      {"--lossless into .mp4", 2, ".mkv", {"--lossless"}},
      {"--lossless with --codec hevc", 2, "drop one of them", {"--lossless", "--codec", "hevc"}},
      {"--crf with --lossless",
       2,
       "drop one of them",
       {"--lossless", "--crf", "10", "-o", "{}/v.mkv"}},
      {"an output without an extension", 2, ".mp4", {"-o", "{}/v"}},
      {"an output in .avi", 2, ".mp4", {"-o", "{}/v.avi"}},
      {"--checkpoint-every 0", 2, "nearest: 1", {"--checkpoint-every", "0"}},
      {"--resume with --decode-latents",
       2,
       "drop one of them",
       {"--resume", "{}/a", "--decode-latents", "{}/b"},
       {},
       {},
       {},
       false},
      {"one file for latents and video", 2, "would be both", {"--save-latents", "{}/v.mp4"}},
      {"one file for latents and sidecar", 2, "would be both", {"--save-latents", "{}/v.json"}},
      {"--progress loud", 2, "wanted one of: auto, bar", {"--progress", "loud"}},
  });
}

}  // namespace
}  // namespace cogvx::test
