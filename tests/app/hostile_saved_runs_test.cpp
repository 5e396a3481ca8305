#include <gtest/gtest.h>
#include <signal.h>

#include <cstring>

#include "tests/app/hostile_table.h"
#include "tests/support/broken_files.h"
#include "tests/support/program.h"

// Files that a run left, or that bring its options: cut, foreign or lying.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Prepare = std::function<void(const Scene&)>;

constexpr char kTransformer[] = "transformer/diffusion_pytorch_model.safetensors";

// Writes a state, by stopping a run, and final latents of the request of all rows.
void make_saved_run(const Scene& scene, const std::string& scheduler = "ddim") {
  std::vector<std::string> arguments = {"--model",     scene.model().string(),
                                        "-p",          "x",
                                        "--steps",     "40",
                                        "--progress",  "json",
                                        "-o",          (scene / "s.mp4").string(),
                                        "--scheduler", scheduler};
  run_and_act({.arguments = arguments}, R"("done":2,"part":0.0,"stage":"denoise")",
              [](const Program& program) { program.send(SIGINT); });
  fs::rename(scene / "s.state.safetensors", scene / "state");
  arguments.insert(arguments.end(),
                   {"--steps", "1", "--save-latents", (scene / "latents").string()});
  run_cogvx_gen(arguments);
  for (const char* name : {"s.mp4", "s.json"}) fs::remove(scene / name);
}

Prepare saved_run(const std::string& name, const std::function<void(RawSafetensors&)>& edit,
                  const std::string& scheduler = "ddim") {
  return [=](const Scene& scene) {
    make_saved_run(scene, scheduler);
    RawSafetensors file = RawSafetensors::load(scene / name);
    edit(file);
    file.save(scene / name);
  };
}

// A row that continues a saved run whose file was changed.
Row continued(const std::string& input, const std::string& says, const std::string& name,
              const std::function<void(RawSafetensors&)>& edit,
              const std::string& scheduler = "ddim") {
  return {.input = input,
          .code = 3,
          .says = says,
          .arguments = {"--model", "{}/model", "-o", "{}/v.mp4", "--quiet",
                        name == "state" ? "--resume" : "--decode-latents", "{}/" + name},
          .prepare = saved_run(name, edit, scheduler),
          .bare = true};
}

TEST(HostileFiles, SavedRuns) {
  const auto meta = [](const char* key, const json& value) {
    return [=](RawSafetensors& file) { file.header["__metadata__"][key] = value; };
  };
  const auto request = [](const json& patch) {
    return [=](RawSafetensors& file) {
      std::string text = file.header["__metadata__"]["cogvx_request"];
      json value = json::parse(text);
      value.merge_patch(patch);
      file.header["__metadata__"]["cogvx_request"] = value.dump();
    };
  };
  const auto nothing = [](RawSafetensors&) {};
  std::vector<Row> rows = {
      {"--resume names nothing", 3, "nothing", {"--resume", "{}/nothing"}},
      {"--resume of a checkpoint's weights",
       3,
       "cogvx",
       {"--resume", std::string("{}/model/") + kTransformer}},
      continued("a state that is cut", "is the download complete", "state",
                [](RawSafetensors& file) { file.data.resize(100); }),
      continued("a state of another format", "format '7'", "state", meta("cogvx_state", "7")),
      continued("a state whose step is text", "next_step", "state", meta("next_step", "two")),
      continued("a state beyond its last step", "step", "state", meta("next_step", "1000")),
      continued("a state with a broken request", "request", "state",
                meta("cogvx_request", "{\"steps\":")),
      continued("a state whose width is 10^18", "'width'", "state",
                request({{"width", 1'000'000'000'000'000'000}})),
      continued("a state whose width is another", "[", "state", request({{"width", 112}})),
      continued("a state with NaN in its latents", "not finite", "state",
                [](RawSafetensors& file) {
                  const size_t begin = file.tensor("latents")["data_offsets"][0];
                  std::memcpy(file.data.data() + begin, "\xff\xff\xff\xff", 4);
                }),
      continued("a state with a broken generator", "generator", "state",
                [](RawSafetensors& file) {
                  const size_t begin = file.tensor("generator")["data_offsets"][0];
                  std::fill_n(file.data.begin() + static_cast<int64_t>(begin), 5000, '\xff');
                }),
      continued(
          "a DPM state without its previous x0", "previous_x0", "state",
          [](RawSafetensors& file) {
            const size_t begin = file.tensor("previous_x0")["data_offsets"][0];
            const size_t end = file.tensor("previous_x0")["data_offsets"][1];
            ASSERT_EQ(end, file.data.size());
            file.data.resize(begin);
            file.header.erase("previous_x0");
          },
          "dpm"),
      continued("latents without a request", "cogvx_request", "latents",
                [](RawSafetensors& file) { file.header["__metadata__"].erase("cogvx_request"); }),
      continued("latents under another name", "latents", "latents",
                [](RawSafetensors& file) {
                  file.header["l"] = file.header["latents"];
                  file.header.erase("latents");
                }),
  };
  Row swapped = continued("a state given to --decode-latents", "--resume", "state", nothing);
  swapped.arguments[5] = "--decode-latents";
  rows.push_back(swapped);
  swapped = continued("latents given to --resume", "--decode-latents", "latents", nothing);
  swapped.arguments[5] = "--resume";
  rows.push_back(swapped);
  Row foreign = continued("a state of another engine", "another engine", "state",
                          meta("cogvx_engine", "{\"cogvx\":\"0.0.1\"}"));
  foreign.code = 0;
  rows.push_back(foreign);
  Row other = continued("a state made with another transformer", "the transformer is not the one",
                        "state", nothing);
  other.prepare = [](const Scene& scene) {
    make_saved_run(scene);
    RawSafetensors file = RawSafetensors::load(scene.model(kTransformer));
    file.poke("norm_final.bias", 0x0001);
    file.save(scene.model(kTransformer));
  };
  rows.push_back(other);
  run_rows(rows);
}

TEST(HostileFiles, OptionFiles) {
  const auto file = [](const std::string& bytes) {
    return [=](const Scene& scene) { put_file(scene / "o.json", bytes); };
  };
  run_rows({
      {"--config names nothing", 3, "nothing", {"--config", "{}/nothing"}},
      {"--config is endless", 3, "/dev/zero", {"--config", "/dev/zero"}},
      {"--config is a folder", 3, "model", {"--config", "{}/model"}},
      {"--config is no JSON", 3, "o.json", {"--config", "{}/o.json"}, file("steps = 3")},
      {"--config with an unknown key",
       3,
       "did you mean 'steps'",
       {"--config", "{}/o.json"},
       file(R"({"stepz": 3})")},
      {"--config with a wrong type",
       3,
       "'steps' is \"3\"",
       {"--config", "{}/o.json"},
       file(R"({"steps": "3"})")},
      {"--config with a fraction",
       3,
       "whole number",
       {"--config", "{}/o.json"},
       file(R"({"steps": 2.5})")},
      {"--config with a key twice",
       3,
       "steps",
       {"--config", "{}/o.json"},
       file(R"({"steps": 2, "steps": 3})")},
      {"--config whose prompt holds a NUL",
       2,
       "NUL",
       {"--model", "{}/model", "--config", "{}/o.json", "-o", "{}/v.mp4"},
       file(R"({"prompt": "a\u0000b"})"),
       {},
       {},
       true},
      {"--from a file that is no sidecar", 3, "sidecar", {"--from", "{}/o.json"}, file("{}")},
      {"--from a sidecar of the future",
       3,
       "format 99",
       {"--from", "{}/o.json"},
       file(R"({"cogvx_sidecar": 99})")},
      {"--from a sidecar without a request",
       3,
       "'request'",
       {"--from", "{}/o.json"},
       file(R"({"cogvx_sidecar": 1})")},
      {"--prompt-file names nothing",
       3,
       "cannot be read",
       {"--model", "{}/model", "--prompt-file", "{}/nothing"},
       {},
       {},
       {},
       true},
      {"--prompt-file is a folder",
       3,
       "cannot be read",
       {"--model", "{}/model", "--prompt-file", "{}/model"},
       {},
       {},
       {},
       true},
      {"--prompt-file is endless",
       2,
       "longer than 4 MiB",
       {"--model", "{}/model", "--prompt-file", "/dev/zero"},
       {},
       {},
       {},
       true},
  });
}

}  // namespace
}  // namespace cogvx::test
