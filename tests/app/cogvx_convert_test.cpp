#include <algorithm>
#include <cstring>
#include <limits>

#include "core/transformer/tensor_list.h"
#include "core/weights/config.h"
#include "core/weights/expected_tensors.h"
#include "core/weights/sat_names.h"
#include "tests/app/convert_test_support.h"
#include "tests/support/torch_file.h"

namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

struct RoundTrip {
  const char* variant;
  const char* checkpoint;
  StoredDtype dtype = StoredDtype::kFp32;
};

class RoundTrips : public CogvxConvert, public testing::WithParamInterface<RoundTrip> {};

TEST_P(RoundTrips, AreByteEqual) {
  const auto [variant, checkpoint, dtype] = GetParam();
  write_release(variant, checkpoint, dtype);
  const ProgramResult result = convert(sat_, {"--verify"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, out_.string() + "\n");
  EXPECT_THAT(result.err, HasSubstr("comparing"));
  for (const char* component : {"transformer", "vae", "text_encoder"}) {
    expect_same(out_ / component, tiny_ / component);
    EXPECT_EQ(read_json(out_ / component / "config.json"),
              read_json(tiny_ / component / "config.json"));
  }
  EXPECT_EQ(read_json(out_ / "model_index.json"), read_json(tiny_ / "model_index.json"));
  EXPECT_EQ(read_json(out_ / "scheduler" / "scheduler_config.json"),
            read_json(tiny_ / "scheduler" / "scheduler_config.json"));
  EXPECT_EQ(read_file(out_ / "tokenizer" / "spiece.model"), "pieces");
}

INSTANTIATE_TEST_SUITE_P(
    Sat, RoundTrips,
    testing::Values(RoundTrip{"tiny-2b", "tiny-2b"},
                    RoundTrip{"tiny-2b-linear", "tiny-2b", StoredDtype::kFp16},
                    RoundTrip{"tiny-5b", "tiny-5b", StoredDtype::kBf16},
                    RoundTrip{"tiny-5b-i2v", "tiny-5b-i2v"}, RoundTrip{"tiny-1.5", "tiny-1.5"},
                    RoundTrip{"tiny-1.5-i2v", "tiny-1.5-i2v", StoredDtype::kBf16}));

TEST_F(CogvxConvert, TheTransformersFolderAndFileAreEnough) {
  write_release("tiny-2b", "tiny-2b");
  for (const fs::path& in : {sat_ / "transformer", states_.parent_path(), states_}) {
    const ProgramResult result = convert(in, {"-q"});
    ASSERT_EQ(result.exit_code, 0) << in << " " << result.err;
    EXPECT_EQ(result.err, "");
    expect_same(out_ / "transformer", tiny_ / "transformer");
    expect_same(out_ / "vae", tiny_ / "vae");
    fs::remove_all(out_);
  }
}

TEST_F(CogvxConvert, ADiffusersFolderIsConvertedToo) {
  write_tiny_checkpoint(recipe_of("tiny-5b"), tiny_, StoredDtype::kFp32, /*transformer_shards=*/3);
  fs::create_directories(tiny_ / "tokenizer");
  std::ofstream(tiny_ / "tokenizer" / "spiece.model") << "pieces";
  const ProgramResult result = run({tiny_.string() + "/", out_.string() + "/", "--verify"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_same(out_ / "transformer", tiny_ / "transformer");
  EXPECT_THAT(names_in(out_ / "transformer"),
              testing::ElementsAre("config.json", "diffusion_pytorch_model.safetensors"));
}

TEST_F(CogvxConvert, NumbersAreRoundedToTheNearest) {
  write_release("tiny-2b", "tiny-2b");
  const std::vector<std::tuple<const char*, const char*, StoredDtype>> table{
      {"fp16", "F16", StoredDtype::kFp16}, {"bf16", "BF16", StoredDtype::kBf16}};
  for (const auto& [flag, name, dtype] : table) {
    ASSERT_EQ(convert(sat_, {"--dtype", flag, "--verify"}).exit_code, 0);
    const fs::path wanted = folder_ / "more";
    write_tiny_checkpoint(recipe_of("tiny-2b"), wanted, dtype);
    for (const char* component : {"transformer", "vae", "text_encoder"})
      expect_same(out_ / component, wanted / component);
    fs::remove_all(out_);
    fs::remove_all(wanted);
  }
}

TEST_F(CogvxConvert, LargeComponentsAreCutIntoShards) {
  write_release("tiny-5b", "tiny-5b");
  const ProgramResult result = convert(sat_, {"--max-shard-bytes", "3000000", "--verify"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const fs::path folder = out_ / "transformer";
  const json index = read_json(folder / "diffusion_pytorch_model.safetensors.index.json");
  std::vector<std::string> shards;
  size_t total = 0;
  for (const std::string& name : names_in(folder)) {
    if (!name.ends_with(".safetensors")) continue;
    shards.push_back(name);
    EXPECT_LT(fs::file_size(folder / name), 3'100'000U) << name;
  }
  ASSERT_GE(shards.size(), 2U);
  char last[64];
  std::snprintf(last, sizeof(last), "diffusion_pytorch_model-%05zu-of-%05zu.safetensors",
                shards.size(), shards.size());
  EXPECT_EQ(shards.back(), last);
  expect_same(folder, tiny_ / "transformer");
  const Contents contents = contents_of(folder);
  EXPECT_EQ(index.at("weight_map").size(), contents.size());
  for (const auto& [name, tensor] : contents) total += std::get<2>(tensor).size();
  EXPECT_EQ(index.at("metadata").at("total_size"), total);
}

// An odd number of halves would put what follows it off the places that some readers need.
TEST_F(CogvxConvert, NumbersOfEveryWidthStandWhereItDivides) {
  write_release("tiny-2b", "tiny-2b");
  write_sat_file(sat_ / "vae" / "3d-vae.pt", "vae", "tiny-2b", "tiny-2b", StoredDtype::kFp32,
                 [](auto& tensors) {
                   for (SavedTensor& tensor : tensors) {
                     if (tensor.name != "decoder.conv_out.conv.bias") continue;
                     tensor.dtype = "BF16";
                     tensor.bytes.resize(tensor.bytes.size() / 2);
                   }
                 });
  ASSERT_EQ(convert(sat_).exit_code, 0);
  const std::string file = read_file(out_ / "vae" / "diffusion_pytorch_model.safetensors");
  for (const StoredTensor& tensor :
       parse_safetensors(std::as_bytes(std::span(file.data(), file.size())), "vae").tensors)
    EXPECT_EQ(tensor.begin % stored_dtype_size(tensor.dtype), 0U) << tensor.name;
}

TEST_F(CogvxConvert, ADryRunPrintsTheMappingAndWritesNothing) {
  write_release("tiny-2b", "tiny-2b");
  const ProgramResult result = convert(sat_, {"--dry-run"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string prefix = "model.diffusion_model.";
  for (const std::string& line :
       {"transformer/transformer_blocks.1.attn1.to_k.weight [192,192] F32 <- " + prefix +
            "transformer.layers.1.attention.query_key_value.weight[192:384]\n",
        "transformer/transformer_blocks.0.norm1.linear.bias [1152] F32 <- " + prefix +
            "mixins.adaln_layer.adaLN_modulations.0.1.bias[0:576] " + prefix +
            "mixins.adaln_layer.adaLN_modulations.0.1.bias[1152:1728]\n",
        std::string("vae/encoder.mid_block.resnets.1.norm2.bias [24] F32 <- "
                    "encoder.mid.block_2.norm2.bias\n"),
        std::string("text_encoder/shared.weight [32128,32] F32 <- shared.weight\n")}) {
    EXPECT_THAT(result.out, HasSubstr(line));
  }
  EXPECT_FALSE(fs::exists(out_));
}

TEST_F(CogvxConvert, UsageErrorsSayTheCure) {
  write_release("tiny-2b", "tiny-2b");
  expect_failure(run({}), 2, "wanted IN and OUT, found 0 paths; see --help");
  expect_failure(run({"a", "b", "--wat"}), 2, "--wat");
  expect_failure(convert(sat_, {"--dtype", "int8"}), 2, "--dtype is 'int8', wanted fp32");
  expect_failure(run({sat_.string(), out_.string(), "--kind", "cogvideox-9b"}), 2,
                 "--kind is 'cogvideox-9b', wanted one of cogvideox-1.5-5b, ");
  expect_failure(run({sat_.string(), tiny_.string()}), 3, "are those of none of");
  expect_failure(run({sat_.string(), tiny_.string(), "--configs", tiny_.string()}), 2,
                 "holds files; give another OUT");
  fs::rename(sat_ / "vae", sat_ / "elsewhere");
  expect_failure(convert(sat_), 2, "no VAE in it or beside it");
  expect_failure(convert(sat_, {"--vae", (sat_ / "no").string()}), 3, "no such file");
  fs::rename(sat_ / "elsewhere", sat_ / "vae");
  fs::rename(sat_ / "t5-v1_1-xxl", sat_ / "elsewhere");
  expect_failure(convert(sat_), 2, "no text encoder in it or beside it");
  EXPECT_EQ(convert(sat_, {"--text-encoder", (sat_ / "elsewhere").string()}).exit_code, 0);
}

TEST_F(CogvxConvert, AnEmptyFolderIsFilledAndAFileIsNot) {
  write_release("tiny-2b", "tiny-2b");
  fs::create_directory(out_);
  ASSERT_EQ(convert(sat_).exit_code, 0);
  fs::remove_all(out_);
  out_ = folder_ / "more";
  std::ofstream(out_) << "mine";
  expect_failure(convert(sat_), 2, "is there and no folder");
  EXPECT_EQ(read_file(out_), "mine");
  out_ = folder_ / "absent" / "out";
  expect_failure(convert(sat_), 9, "cannot make a folder");
}

TEST_F(CogvxConvert, BrokenWeightsAreNamedAndNothingIsLeft) {
  const auto break_with = [&](const Change& change) {
    fs::remove_all(sat_);
    fs::remove_all(tiny_);
    write_release("tiny-2b", "tiny-2b", StoredDtype::kFp32, change);
    return convert(sat_);
  };
  expect_failure(break_with([](auto& tensors) { tensors.erase(tensors.begin()); }), 3,
                 "1 tensors are missing: "
                 "'transformer.layers.0.attention.query_key_value.weight'; is it complete");
  expect_failure(break_with([](auto& tensors) {
                   tensors.push_back(tensors.front());
                   tensors.back().name = "model.diffusion_model.transformer.layers.7.new";
                 }),
                 3, "1 tensors are unknown: 'transformer.layers.7.new'");
  expect_failure(break_with([](auto& tensors) {
                   tensors[0].shape = {192, 576};
                 }),
                 3, "query_key_value.weight' is [192,576]");
  const float infinity = std::numeric_limits<float>::infinity();
  expect_failure(break_with([&](auto& tensors) {
                   std::memcpy(&tensors[7].bytes[8], &infinity, sizeof(infinity));
                 }),
                 3, "holds at least 1 NaN or infinite values; is the file damaged?");
  const float large = 1e5F;
  break_with([&](auto& tensors) { std::memcpy(&tensors[7].bytes[8], &large, sizeof(large)); });
  fs::remove_all(out_);
  expect_failure(convert(sat_, {"--dtype", "fp16"}), 3,
                 "holds at least 1 values beyond the range of the wanted dtype; take --dtype bf16");
}

TEST_F(CogvxConvert, HostileFilesAreDataErrors) {
  write_release("tiny-2b", "tiny-2b");
  const auto expect_refused = [&](const std::string& pickle, const std::string& text) {
    write_archive(states_, {{"data.pkl", pickle}, {"data/0", std::string(32, 'x')}});
    expect_failure(convert(sat_), 3, text);
  };
  const fs::path trace = folder_ / "more";
  expect_refused(PickleWriter()
                     .global("posix", "system")
                     .opcodes("(")
                     .text("touch '" + trace.string() + "'")
                     .opcodes("tR.")
                     .str(),
                 "names 'posix.system', wanted tensors and plain data only; nothing of it was run");
  EXPECT_FALSE(fs::exists(trace));
  expect_refused("\x80\x02", "it is cut");
  write_torch_file(states_, "module", {{"x", "F32", {2}, std::string(8, '\0')}});
  expect_failure(convert(sat_), 3, "tensors are missing");
  std::ofstream(states_) << "no zip";
  expect_failure(convert(sat_), 3, "is no archive of torch.save");
  std::ofstream(sat_ / "transformer" / "latest") << "../../etc\n";
  expect_failure(convert(sat_), 3, "wanted the name of a folder beside it");
  fs::remove(sat_ / "transformer" / "latest");
  expect_failure(convert(sat_), 3, "no transformer in it");
  expect_failure(convert(sat_ / "absent"), 3, "no such file");
}

// A safetensors file of these names and shapes in bf16, whose numbers are a hole in the disk.
void write_sparse(const fs::path& path, const TensorShapes& shapes) {
  std::vector<StoredTensor> tensors;
  size_t size = 0;
  for (const auto& [name, shape] : shapes) {
    tensors.push_back({name, "BF16", shape});
    size_t count = 1;
    for (const int64_t extent : shape) count *= static_cast<size_t>(extent);
    size += count * 2;
  }
  const std::string prefix = safetensors_prefix(tensors, {});
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << prefix;
  fs::resize_file(path, prefix.size() + size);
}

TensorShapes in_sat_names(const TensorShapes& shapes, const std::string& prefix,
                          SatPlace (*place_of)(std::string_view)) {
  TensorShapes renamed;
  for (const auto& [name, shape] : shapes) {
    const SatPlace place = place_of(name);
    std::vector<int64_t> whole = shape;
    whole[0] = whole[0] / static_cast<int64_t>(place.chunks.size()) * place.of;
    renamed[prefix + place.name] = whole;
  }
  return renamed;
}

// Headers of the full-depth models, without data.
TEST_F(CogvxConvert, TheKindIsFoundFromTheTensorsOfTheRealModels) {
  const json table = read_json(source_dir() / "configs" / "checkpoint_configs.json");
  const fs::path vae = folder_ / "more" / "vae.safetensors", t5 = folder_ / "more" / "t5";
  write_sparse(vae, in_sat_names(vae_tensors(VaeConfig{}), "", sat_vae_place));
  write_sparse(t5 / "model.safetensors", t5_tensors(T5Config{}));
  std::ofstream(t5 / "spiece.model") << "pieces";
  for (const auto& [kind, configs] : table.at("kinds").items()) {
    json config = table.at("common").at("transformer");
    config.update(configs.at("transformer"));
    const TensorShapes shapes = transformer_tensors(parse_transformer_config(config, kind));
    const fs::path in = folder_ / "more" / (kind + ".safetensors");
    for (const bool sat : {true, false}) {
      write_sparse(
          in, sat ? in_sat_names(shapes, "model.diffusion_model.", sat_transformer_place) : shapes);
      const ProgramResult result = run({in.string(), out_.string(), "--dry-run", "--vae",
                                        vae.string(), "--text-encoder", t5.string()});
      EXPECT_EQ(result.exit_code, 0) << result.err;
      EXPECT_THAT(result.err, HasSubstr(in.string() + ", which is of " + kind + "\n"));
      EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'),
                static_cast<int64_t>(shapes.size()) + 436 + 219);
    }
    fs::remove(in);
  }
}

}  // namespace
}  // namespace cogvx::test
