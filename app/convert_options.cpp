#include "app/convert_options.h"

#include <CLI/CLI.hpp>
#include <map>

#include "core/base/errors.h"

namespace cogvx::app {

const char* const kConvertUsage = R"(cogvx-convert IN OUT [options]
  Makes one clean checkpoint folder for cogvx-gen, in the layout of diffusers, out of a checkpoint in any other state.
  IN   the original (SAT) release: its folder with transformer/ and vae/, a transformer folder with 'latest', or
       mp_rank_00_model_states.pt itself; or a checkpoint folder of diffusers, or a transformer's .safetensors
  OUT  a folder that is not there yet, or is empty; it appears when it is complete
what goes in:
  --vae F             the VAE: 3d-vae.pt, a .safetensors, or a folder (default: vae/ in IN or beside it)
  --text-encoder DIR  T5, as t5-v1_1-xxl or text_encoder/ (default: one of these in IN or beside it)
  --tokenizer DIR     holds spiece.model (default: the text encoder's folder, or tokenizer/ in IN)
  --configs DIR       a checkpoint folder whose config files to take (default: IN's, or those known for the kind)
what comes out:
  --kind K            cogvideox-2b, cogvideox-5b, cogvideox-5b-i2v, cogvideox-1.5-5b or cogvideox-1.5-5b-i2v (default:
                      the one that the tensors are of)
  --dtype D           fp32, fp16 or bf16, rounded to the nearest (default: every tensor as it is stored)
  --max-shard-bytes N most bytes of weights in one file (default: 5000000000)
  --verify            reads all back and compares
  --dry-run           prints where every tensor comes from, and writes nothing
  -q, --quiet         errors alone
Exit code: 0 done, 2 usage, 3 an input is missing or broken, 9 OUT cannot be written, 130 or 143 stopped by a signal.
)";

namespace {

std::string stored_name(const std::string& dtype) {
  const std::map<std::string, std::string> names{
      {"fp32", "F32"}, {"fp16", "F16"}, {"bf16", "BF16"}};
  if (dtype.empty()) return "";
  if (!names.contains(dtype))
    throw UsageError("--dtype is '" + dtype + "', wanted fp32, fp16 or bf16");
  return names.at(dtype);
}

}  // namespace

ConvertOptions parse_convert_options(int argc, const char* const* argv) {
  ConvertOptions options;
  std::vector<std::string> places;
  std::string dtype;
  CLI::App parser;
  parser.set_help_flag();
  parser.add_option("places", places);
  parser.add_option("--kind", options.kind);
  parser.add_option("--dtype", dtype);
  parser.add_option("--vae", options.vae);
  parser.add_option("--text-encoder,--text_encoder", options.text_encoder);
  parser.add_option("--tokenizer", options.tokenizer);
  parser.add_option("--configs", options.configs);
  parser.add_option("--max-shard-bytes,--max_shard_bytes", options.max_shard_bytes)
      ->check(CLI::PositiveNumber);
  parser.add_flag("--verify", options.verify);
  parser.add_flag("--dry-run,--dry_run", options.dry_run);
  parser.add_flag("-q,--quiet", options.quiet);
  parser.add_flag("-h,--help", options.help);
  try {
    parser.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    throw UsageError(std::string(error.what()) + "; see --help");
  }
  if (options.help) return options;
  if (places.size() != 2) {
    throw UsageError("wanted IN and OUT, found " + std::to_string(places.size()) +
                     " paths; see --help");
  }
  options.in = places[0];
  options.out = places[1];
  options.dtype = stored_name(dtype);
  return options;
}

}  // namespace cogvx::app
