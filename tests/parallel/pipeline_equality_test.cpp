// The whole pipeline after the tokenizer on cp x sp virtual ranks: the bytes of one.
#include <gtest/gtest.h>

#include <mutex>

#include "parallel/agreement.h"
#include "parallel/mesh_work.h"
#include "tests/parallel/sequence_modes.h"
#include "tests/parallel/thread_group.h"
#include "tests/support/tiny_models.h"

namespace cogvx {
namespace {

using namespace test;

struct Setting {
  const char* checkpoint;
  at::ScalarType dtype;
  double guidance_scale;
};

void PrintTo(const Setting& setting, std::ostream* out) {
  *out << setting.checkpoint << " " << setting.dtype << " guidance " << setting.guidance_scale;
}

struct Made {
  at::Tensor latents;
  at::Tensor frames;
};

// Nine tiles of unequal size, two temporal chunks, three steps.
Request make_request(const Checkpoint& checkpoint, const Setting& setting) {
  nlohmann::json params = golden_cases("tiny-2b", "pipeline").front().params();
  params["width"] = 160;
  params["height"] = 112;
  params["num_frames"] = 13;
  params["steps"] = 3;
  params["guidance_scale"] = setting.guidance_scale;
  params["dynamic_cfg"] = checkpoint.scheduler.kind == SchedulerKind::kDpm;
  Request request = golden_request(checkpoint, params, 5, setting.dtype);
  request.vae_tile = {.height = 48, .width = 80};
  return request;
}

// Everything a process does, with its own models.
Made make(const Checkpoint& checkpoint, const Setting& setting, SequenceExchange& exchange,
          WorkExchange& work, const std::function<void(const DenoiseState&)>& after_step = {}) {
  ThreadPool pool(1);
  CpuOps ops(pool);
  const Request request = make_request(checkpoint, setting);
  const GoldenCase any = golden_cases("tiny-2b", "pipeline").front();
  const TensorShape text_shape{{request.max_text_tokens, checkpoint.text_encoder.d_model},
                               setting.dtype};
  const auto text = [&](const char* ids) {
    return work.made_once(
        text_shape, [&] { return encode_ids(checkpoint, any.output(ids), setting.dtype, ops); });
  };
  const TextStates states{.prompt = text("prompt_ids"), .negative = text("negative_prompt_ids")};
  Transformer transformer = load_transformer(checkpoint, setting.dtype, ops);
  DenoiseState state = initial_state(request, latent_shape(request, checkpoint), work);
  denoise({request, transformer, states, exchange, work, after_step}, state, Monitor{});
  const VaeDecoder decoder = load_vae(checkpoint, setting.dtype, ops);
  return {state.latents_LCYX,
          decode_latents({request, decoder, checkpoint.vae.scaling_factor, work},
                         state.latents_LCYX, Monitor{})};
}

class PipelineOnAMesh : public testing::TestWithParam<Setting> {};

TEST_P(PipelineOnAMesh, EveryCpTimesSpGivesTheBytesOfOneProcess) {
  const Setting setting = GetParam();
  const TinyCheckpoint checkpoint(
      setting.checkpoint, setting.dtype == at::kFloat ? StoredDtype::kFp32 : StoredDtype::kBf16);
  IdentityExchange alone;
  OneWorker one;
  const Made wanted = make(*checkpoint, setting, alone, one);
  ASSERT_EQ(wanted.frames.sizes(), at::IntArrayRef({16, 112, 160, 3}));
  struct Case {
    int cp;
    int sp;
    SequenceMode mode;
  };
  constexpr SequenceMode kHeads = SequenceMode::kUlysses, kRows = SequenceMode::kGather;
  for (const auto& [cp, sp, mode] :
       {Case{1, 2, kHeads}, Case{1, 3, kHeads}, Case{1, 5, kHeads}, Case{1, 8, kHeads},
        Case{2, 1, kHeads}, Case{2, 2, kHeads}, Case{2, 3, kHeads}, Case{1, 3, kRows},
        Case{2, 2, kRows}, Case{1, 8, kRows}}) {
    if (cp == 2 && setting.guidance_scale <= 1) continue;
    SCOPED_TRACE("cp " + std::to_string(cp) + ", sp " + std::to_string(sp) + ", " + name_of(mode));
    run_mesh(cp, sp, [&, mode = mode](const MeshGroups& groups) {
      const auto exchange = make_shared_sequence(mode, groups.sequence);
      MeshWork work(groups);
      const auto agree = [&](const DenoiseState& state) {
        check_agreement(groups.world, "latents", short_hash(state.latents_LCYX));
      };
      const Made made = make(*checkpoint, setting, *exchange, work, agree);
      EXPECT_TRUE(same_bytes(made.latents, wanted.latents)) << "rank " << groups.mesh.rank;
      EXPECT_EQ(made.frames.defined(), groups.mesh.rank == 0);
      if (groups.mesh.rank == 0) {
        EXPECT_TRUE(same_bytes(made.frames, wanted.frames));
      }
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Tiny, PipelineOnAMesh,
                         testing::Values(Setting{"tiny-2b", at::kFloat, 6.0},
                                         Setting{"tiny-2b", at::kBFloat16, 1.0},
                                         Setting{"tiny-5b", at::kBFloat16, 6.0},
                                         Setting{"tiny-30x16", at::kFloat, 6.0}));

}  // namespace
}  // namespace cogvx
