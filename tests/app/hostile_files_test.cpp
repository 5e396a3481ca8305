#include <gtest/gtest.h>

#include <cstring>

#include "tests/app/hostile_table.h"
#include "tests/support/broken_files.h"
#include "tests/support/program.h"

// Files that are missing, cut, foreign or lie.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Prepare = std::function<void(const Scene&)>;

constexpr char kTransformer[] = "transformer/diffusion_pytorch_model.safetensors";
constexpr char kVae[] = "vae/diffusion_pytorch_model.safetensors";
constexpr char kTextEncoder[] = "text_encoder/model.safetensors";
constexpr char kIndex[] = "transformer/diffusion_pytorch_model.safetensors.index.json";
constexpr char kConfig[] = "transformer/config.json";
constexpr char kLfsPointer[] =
    "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 7\n";

Prepare removed(const std::string& name) {
  return [=](const Scene& scene) { fs::remove_all(scene.model(name)); };
}
Prepare replaced(const std::string& name, const std::string& bytes) {
  return [=](const Scene& scene) { put_file(scene.model(name), bytes); };
}
Prepare patched(const std::string& name, const json& patch) {
  return [=](const Scene& scene) { patch_json(scene.model(name), patch); };
}
// Changes one character sequence of a text file.
Prepare rewritten(const std::string& name, const std::string& from, const std::string& to) {
  return [=](const Scene& scene) {
    std::string text = read_file(scene.model(name));
    ASSERT_NE(text.find(from), std::string::npos);
    put_file(scene.model(name), text.replace(text.find(from), from.size(), to));
  };
}
Prepare edited(const std::string& name, const std::function<void(RawSafetensors&)>& edit) {
  return [=](const Scene& scene) {
    RawSafetensors file = RawSafetensors::load(scene.model(name));
    edit(file);
    file.save(scene.model(name));
  };
}
Prepare cut(const std::string& name, size_t bytes) {
  return [=](const Scene& scene) {
    put_file(scene.model(name), read_file(scene.model(name)).substr(0, bytes));
  };
}

std::string nested(int depth) {
  return "{\"a\":" + std::string(static_cast<size_t>(depth), '[') +
         std::string(static_cast<size_t>(depth), ']') + "}";
}

TEST(HostileFiles, Checkpoints) {
  run_rows({
      {"--model names nothing", 3, "no such folder", {"--model", "{}/nothing"}},
      {"--model is a file", 3, "is no folder", {"--model", "{}/model/model_index.json"}},
      {"--model of 5000 characters", 3, "aaa", {"--model", std::string(5000, 'a')}},
      {"model_index.json missing", 3, "model_index.json", {}, removed("model_index.json")},
      {"model_index.json is text", 3, "model_index.json", {}, replaced("model_index.json", "hi")},
      {"model_index.json is a list", 3, "object", {}, replaced("model_index.json", "[1]")},
      {"config.json missing", 3, "config.json", {}, removed(kConfig)},
      {"config.json is a Git LFS pointer", 3, "git lfs pull", {}, replaced(kConfig, kLfsPointer)},
      {"config.json empty", 3, "config.json", {}, replaced(kConfig, "")},
      {"config.json cut", 3, "config.json", {}, cut(kConfig, 100)},
      {"config.json is a folder",
       3,
       "config.json",
       {},
       [](const Scene& scene) {
         fs::remove(scene.model(kConfig));
         fs::create_directory(scene.model(kConfig));
       }},
      {"config.json nests 100,000 deep", 3, "config.json", {}, replaced(kConfig, nested(100000))},
      {"num_layers is -1", 3, "'num_layers' is -1", {}, patched(kConfig, {{"num_layers", -1}})},
      {"num_layers is \"5\"", 3, "'num_layers'", {}, patched(kConfig, {{"num_layers", "5"}})},
      {"num_layers is 1e300", 3, "'num_layers'", {}, patched(kConfig, {{"num_layers", 1e300}})},
      {"num_layers is 2^63",
       3,
       "'num_layers'",
       {},
       patched(kConfig, {{"num_layers", 9223372036854775808ULL}})},
      {"num_layers is given twice",
       3,
       "num_layers",
       {},
       rewritten(kConfig, "\"num_layers\": 5", "\"num_layers\": 5, \"num_layers\": 6")},
      {"num_layers is 6, the weights have 5",
       3,
       "is missing",
       {},
       patched(kConfig, {{"num_layers", 6}})},
      {"attention_head_dim is 7",
       3,
       "'attention_head_dim'",
       {},
       patched(kConfig, {{"attention_head_dim", 7}})},
      {"norm_eps is a list", 3, "'norm_eps'", {}, patched(kConfig, {{"norm_eps", {1}}})},
      {"text_embed_dim differs from the text encoder's",
       3,
       "text_embed_dim is 97",
       {},
       patched(kConfig, {{"text_embed_dim", 97}})},
      {"an inpainting model",
       3,
       "'in_channels' is 33",
       {},
       patched(kConfig, {{"in_channels", 33}})},
      {"in_channels is 32, the weights have 16",
       3,
       "this model wants [192,32,2,2]",
       {"--image", (source_dir() / "configs" / "demo" / "contact_sheet.png").string()},
       patched(kConfig, {{"in_channels", 32}})},
      {"the VAE has three widths",
       3,
       "'block_out_channels'",
       {},
       patched("vae/config.json", {{"block_out_channels", {32, 32, 32}}})},
      {"an unknown scheduler",
       3,
       "'_class_name'",
       {},
       patched("scheduler/scheduler_config.json", {{"_class_name", "EulerDiscreteScheduler"}})},
      {"beta_start is negative",
       3,
       "'beta_start'",
       {},
       patched("scheduler/scheduler_config.json", {{"beta_start", -0.1}})},
      {"relative positions that leave their table",
       3,
       "relative_attention_max_distance",
       {},
       patched("text_encoder/config.json", {{"relative_attention_max_distance", 2}})},
      {"spiece.model missing", 3, "spiece.model", {}, removed("tokenizer/spiece.model")},
      {"spiece.model empty", 3, "spiece.model", {}, replaced("tokenizer/spiece.model", "")},
      {"spiece.model is noise",
       3,
       "spiece.model",
       {},
       replaced("tokenizer/spiece.model", std::string(3000, '\x9d'))},
      {"spiece.model is a Git LFS pointer",
       3,
       "git lfs pull",
       {},
       replaced("tokenizer/spiece.model", kLfsPointer)},
      {"extra_ids is -5",
       3,
       "'extra_ids'",
       {},
       patched("tokenizer/tokenizer_config.json", {{"extra_ids", -5}})},
      {"a tokenizer with more ids than the text encoder",
       3,
       "vocab_size",
       {"-p", "a <extra_id_0>"},
       patched("tokenizer/tokenizer_config.json", {{"extra_ids", 100}})},
  });
}

TEST(HostileFiles, Weights) {
  const auto offsets = [](const char* tensor, const json& value) {
    return edited(kTransformer,
                  [=](RawSafetensors& file) { file.tensor(tensor)["data_offsets"] = value; });
  };
  const auto index = [](const json& places) {
    return replaced(kIndex, json{{"weight_map", places}}.dump());
  };
  const std::string file_name = "diffusion_pytorch_model.safetensors";
  run_rows({
      {"weights missing", 3, "no such file", {}, removed(kTransformer)},
      {"weights empty", 3, "too few", {}, replaced(kTransformer, "")},
      {"weights are a Git LFS pointer", 3, "git lfs pull", {}, replaced(kTransformer, kLfsPointer)},
      {"weights are a web page",
       3,
       "is it a safetensors file",
       {},
       replaced(kTransformer, "<!DOCTYPE html><html>")},
      {"weights are a folder",
       3,
       "is no file",
       {},
       [](const Scene& scene) {
         fs::remove(scene.model(kTransformer));
         fs::create_directory(scene.model(kTransformer));
       }},
      {"the header is cut", 3, "claims a header", {}, cut(kTransformer, 200)},
      {"the data is cut", 3, "is the download complete", {}, cut(kTransformer, 1'000'000)},
      {"bytes after the data",
       3,
       "bytes",
       {},
       edited(kTransformer, [](RawSafetensors& file) { file.data += "more"; })},
      {"a header of 2^63 bytes",
       3,
       "claims a header",
       {},
       [](const Scene& scene) {
         std::string bytes = read_file(scene.model(kTransformer));
         bytes[7] = '\x7f';
         put_file(scene.model(kTransformer), bytes);
       }},
      {"a header that is no JSON",
       3,
       "JSON",
       {},
       [](const Scene& scene) {
         std::string bytes = read_file(scene.model(kTransformer));
         bytes[8] = '<';
         put_file(scene.model(kTransformer), bytes);
       }},
      {"a negative offset", 3, "data_offsets", {}, offsets("norm_final.bias", {-384, 0})},
      {"an offset of 2^60",
       3,
       "takes 1152921504606846976 bytes",
       {},
       offsets("norm_final.bias", {0, 1ULL << 60})},
      {"overlapping tensors", 3, "starts at byte", {}, offsets("norm_final.weight", {0, 384})},
      {"offsets the wrong way round", 3, "data_offsets", {}, offsets("norm_final.bias", {384, 0})},
      {"a tensor of odd length", 3, "takes", {}, offsets("norm_final.bias", {0, 383})},
      {"a dtype of no format",
       3,
       "F7",
       {},
       edited(kTransformer,
              [](RawSafetensors& file) { file.tensor("norm_final.bias")["dtype"] = "F7"; })},
      {"whole numbers as weights",
       3,
       "wanted F32, F16 or BF16",
       {},
       edited(kTransformer,
              [](RawSafetensors& file) { file.tensor("norm_final.bias")["dtype"] = "I16"; })},
      {"a shape of the wrong size",
       3,
       "this model wants",
       {},
       edited(kTransformer,
              [](RawSafetensors& file) {
                file.tensor("norm_final.bias")["shape"] = {96, 2};
              })},
      {"a shape of 2^62 elements",
       3,
       "claims more elements",
       {},
       edited(kTransformer,
              [](RawSafetensors& file) {
                file.tensor("norm_final.bias")["shape"] = {1LL << 31, 1LL << 31};
              })},
      {"a tensor under another name",
       3,
       "norm_final.bias",
       {},
       edited(kTransformer,
              [](RawSafetensors& file) {
                file.header["norm_final.bjas"] = file.header["norm_final.bias"];
                file.header.erase("norm_final.bias");
              })},
      {"a tensor listed twice",
       3,
       "norm_final.bias",
       {},
       [](const Scene& scene) {
         const RawSafetensors file = RawSafetensors::load(scene.model(kTransformer));
         std::string header = file.header.dump();
         header.insert(1, "\"norm_final.bias\":" + file.header["norm_final.bias"].dump() + ",");
         const uint64_t length = header.size();
         std::string bytes(sizeof length, '\0');
         std::memcpy(bytes.data(), &length, sizeof length);
         put_file(scene.model(kTransformer), bytes + header + file.data);
       }},
      {"NaN in the transformer",
       3,
       "norm_final.bias",
       {},
       edited(kTransformer, [](RawSafetensors& file) { file.poke("norm_final.bias", 0x7fff); })},
      {"infinity in the text encoder",
       3,
       "encoder.final_layer_norm.weight",
       {},
       edited(kTextEncoder,
              [](RawSafetensors& file) { file.poke("encoder.final_layer_norm.weight", 0x7c00); })},
      {"NaN in the VAE, when the latents are done",
       3,
       "go on with --decode-latents",
       {},
       edited(kVae, [](RawSafetensors& file) { file.poke("decoder.conv_in.conv.bias", 0x7fff); }),
       {},
       {},
       false,
       {"v.latents.safetensors"}},
      {"an index that names a missing shard",
       3,
       "no such file",
       {},
       index({{"norm_final.bias", "gone.safetensors"}})},
      {"an index that leaves the folder",
       3,
       "wanted a file name in this folder",
       {},
       index({{"norm_final.bias", "../" + file_name}})},
      {"an index with an absolute path",
       3,
       "wanted a file name in this folder",
       {},
       index({{"norm_final.bias", "/etc/passwd"}})},
      {"an index that names another tensor",
       3,
       "does not hold it",
       {},
       index({{"not.there", file_name}})},
      {"an index without a map", 3, "weight_map", {}, replaced(kIndex, "{}")},
      {"an index whose file is a number", 3, "", {}, index({{"norm_final.bias", 5}})},
  });
}

}  // namespace
}  // namespace cogvx::test
