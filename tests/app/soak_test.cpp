#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/base/memory.h"
#include "core/base/sha256.h"
#include "core/base/thread_pool.h"
#include "core/ops/cpu/cpu_ops.h"
#include "core/pipeline/stages.h"
#include "core/text/tokenizer.h"
#include "core/weights/weight_map.h"
#include "io/video_writer.h"
#include "tests/support/cpu_path.h"
#include "tests/support/demo_run.h"

// Many videos in one process, through the stages over lists of requests.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;

constexpr int kRequestsInList = 5;
// What libraries keep for later (kernels they generate, arenas) is in memory by then.
constexpr int kWarmUpLists = 2;
constexpr int64_t kAllowedGrowth = 8 << 20;

int list_count() { return std::getenv("COGVX_LONG") != nullptr ? 40 : 6; }

int64_t resident_bytes() {
  release_free_memory();
  std::ifstream statm("/proc/self/statm");
  int64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

int64_t open_descriptors() {
  return std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{});
}

std::vector<Request> make_requests(const Checkpoint& checkpoint) {
  std::vector<Request> requests;
  for (int i = 0; i < kRequestsInList; ++i) {
    Request r;
    r.prompt = i % 2 == 0 ? kDemoPrompt : "a red circle moves right on a blue background";
    r.width = 96, r.height = 64, r.num_frames = 17, r.steps = 10;
    r.guidance_scale = i == 0 ? 1.0 : 6.0;
    r.scheduler = checkpoint.scheduler;
    r.scheduler.kind = i % 2 == 0 ? SchedulerKind::kDdim : SchedulerKind::kDpm;
    r.scheduler.timestep_spacing = TimestepSpacing::kTrailing;
    r.dynamic_cfg = r.scheduler.kind == SchedulerKind::kDpm;
    r.seed = static_cast<uint64_t>(i);
    r.vae_tile = i == 3 ? TileSize{} : TileSize{48, 80};
    r.max_text_tokens = checkpoint.transformer.max_text_seq_length;
    requests.push_back(r);
  }
  return requests;
}

std::string hash_of(const at::Tensor& tensor) {
  return sha256_hex(tensor.const_data_ptr(), tensor.nbytes());
}

// Every request to its MP4, each component loaded once -> hashes of frames and file.
std::vector<std::string> run_list(const Checkpoint& checkpoint,
                                  const std::vector<Request>& requests, CpuOps& ops,
                                  const fs::path& video) {
  const Monitor monitor;
  std::vector<PromptIds> ids;
  const Tokenizer tokenizer(checkpoint.dir / "tokenizer");
  for (const Request& r : requests) {
    ids.push_back({.prompt = tokenizer.encode_padded(r.prompt, r.max_text_tokens).ids,
                   .negative = tokenizer.encode_padded("", r.max_text_tokens).ids});
  }
  const EncodedTexts texts = encode_texts(checkpoint, ids, at::kFloat, ops, monitor);
  OneWorker work;
  std::vector<DenoiseState> states;
  {
    WeightMap weights(checkpoint.dir / "transformer", "diffusion_pytorch_model");
    Transformer transformer(checkpoint.transformer, weights, at::kFloat, ops, {});
    IdentityExchange exchange;
    for (size_t i = 0; i < requests.size(); ++i) {
      states.push_back(initial_state(requests[i], latent_shape(requests[i], checkpoint), work));
      denoise({requests[i], transformer, texts.states[i], exchange, work}, states[i], monitor);
    }
  }
  WeightMap weights(checkpoint.dir / "vae", "diffusion_pytorch_model");
  const VaeDecoder decoder(checkpoint.vae, weights, at::kFloat, ops);
  std::vector<std::string> hashes;
  for (size_t i = 0; i < requests.size(); ++i) {
    const at::Tensor frames =
        decode_latents({requests[i], decoder, checkpoint.vae.scaling_factor, work},
                       states[i].latents_LCYX, monitor);
    io::write_video(video,
                    {static_cast<const uint8_t*>(frames.const_data_ptr()),
                     static_cast<int>(frames.size(0)),
                     {static_cast<int>(frames.size(2)), static_cast<int>(frames.size(1))}},
                    {});
    std::ifstream file(video, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    hashes.push_back(hash_of(frames) + " " + sha256_hex(bytes.data(), bytes.size()));
  }
  return hashes;
}

TEST(Soak, ManyVideosInOneProcessAreEqualAndLeaveMemoryAndFilesAsTheyWere) {
  const TemporaryFolder folder;
  const Checkpoint checkpoint = open_checkpoint(demo_model());
  const std::vector<Request> requests = make_requests(checkpoint);
  ThreadPool pool(2);
  CpuOps ops(pool, test::cpu_path());
  std::vector<std::string> first;
  int64_t memory = 0, descriptors = 0;
  for (int i = 0; i < list_count(); ++i) {
    const std::vector<std::string> hashes = run_list(checkpoint, requests, ops, folder / "v.mp4");
    if (first.empty()) first = hashes;
    ASSERT_EQ(hashes, first) << "list " << i;
    if (i + 1 == kWarmUpLists) memory = resident_bytes(), descriptors = open_descriptors();
  }
  const int64_t growth = resident_bytes() - memory;
  std::printf("%d videos: %.1f MB at first, %+.2f MB at the end, %ld files open\n",
              list_count() * kRequestsInList, static_cast<double>(memory) / 1e6,
              static_cast<double>(growth) / 1e6, descriptors);
  EXPECT_LT(growth, kAllowedGrowth);
  EXPECT_EQ(open_descriptors(), descriptors);
}

}  // namespace
}  // namespace cogvx::test
