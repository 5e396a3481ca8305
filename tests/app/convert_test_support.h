#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "core/weights/safetensors.h"
#include "tests/support/program.h"
#include "tests/support/sat_checkpoint.h"
#include "tests/support/tiny_checkpoint.h"

// cogvx-convert as its users run it, on tiny checkpoints in the names and files of the originals.
namespace cogvx::test {

inline nlohmann::json read_json(const std::filesystem::path& path) {
  return nlohmann::json::parse(read_file(path));
}

inline std::filesystem::path recipe_of(const std::string& checkpoint) {
  return source_dir() / "tests" / "goldens" / (checkpoint + ".json");
}

// dtype, shape and bytes by name, of one file or of shards.
using Contents = std::map<std::string, std::tuple<std::string, std::vector<int64_t>, std::string>>;

inline Contents contents_of(const std::filesystem::path& folder) {
  Contents contents;
  for (const std::string& name : names_in(folder)) {
    if (!name.ends_with(".safetensors")) continue;
    const std::string file = read_file(folder / name);
    const auto bytes = std::as_bytes(std::span(file.data(), file.size()));
    for (const StoredTensor& tensor : parse_safetensors(bytes, name).tensors) {
      contents[tensor.name] = {tensor.dtype, tensor.shape,
                               file.substr(tensor.begin, tensor.end - tensor.begin)};
    }
  }
  return contents;
}

inline void expect_same(const std::filesystem::path& found_folder,
                        const std::filesystem::path& wanted_folder) {
  const Contents found = contents_of(found_folder), wanted = contents_of(wanted_folder);
  ASSERT_FALSE(wanted.empty()) << wanted_folder;
  EXPECT_EQ(found.size(), wanted.size());
  for (const auto& [name, tensor] : wanted)
    EXPECT_TRUE(found.contains(name) && found.at(name) == tensor) << found_folder << " " << name;
}

class CogvxConvert : public testing::Test {
 protected:
  // A SAT release of a tiny checkpoint in sat/, its config files and the wanted weights in tiny/.
  void write_release(const std::string& variant, const std::string& checkpoint,
                     StoredDtype dtype = StoredDtype::kFp32, const Change& change = {}) {
    write_tiny_checkpoint(recipe_of(checkpoint), tiny_, dtype);
    std::filesystem::create_directories(sat_ / "transformer" / "1000");
    std::ofstream(sat_ / "transformer" / "latest") << "1000\n";
    write_sat_file(states_, "transformer", variant, checkpoint, dtype, change);
    // There are tables for the VAEs of two checkpoints; the others get the second.
    const std::string vae = checkpoint == "tiny-2b" ? "tiny-2b" : "tiny-5b";
    write_sat_file(sat_ / "vae" / "3d-vae.pt", "vae", vae, vae, dtype);
    const TemporaryFolder other;
    write_tiny_checkpoint(recipe_of(vae), other.path(), dtype);
    std::filesystem::remove_all(tiny_ / "vae");
    std::filesystem::copy(other / "vae", tiny_ / "vae", std::filesystem::copy_options::recursive);
    std::filesystem::create_directories(sat_ / "t5-v1_1-xxl");
    for (const char* name : {"config.json", "model.safetensors"})
      std::filesystem::copy(tiny_ / "text_encoder" / name, sat_ / "t5-v1_1-xxl" / name);
    std::ofstream(sat_ / "t5-v1_1-xxl" / "spiece.model") << "pieces";
  }

  ProgramResult run(std::vector<std::string> arguments) {
    return run_cogvx_gen({.arguments = std::move(arguments), .program = "cogvx-convert"});
  }
  ProgramResult convert(const std::filesystem::path& in,
                        const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments{in.string(), out_.string(), "--configs", tiny_.string()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
  // It fails with this code and text, and leaves nothing.
  void expect_failure(const ProgramResult& result, int code, const std::string& text) {
    EXPECT_EQ(result.exit_code, code) << result.err;
    EXPECT_THAT(result.err, testing::AllOf(testing::HasSubstr("cogvx-convert: error: "),
                                           testing::HasSubstr(text)));
    EXPECT_THAT(names_in(folder_.path()), testing::IsSubsetOf({"sat", "tiny", "more"}));
  }

  TemporaryFolder folder_;
  std::filesystem::path sat_ = folder_ / "sat";
  std::filesystem::path tiny_ = folder_ / "tiny";
  std::filesystem::path out_ = folder_ / "out";
  std::filesystem::path states_ = sat_ / "transformer" / "1000" / "mp_rank_00_model_states.pt";
};

}  // namespace cogvx::test
