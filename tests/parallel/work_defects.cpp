// Defects of what one process makes for all, and of tiles.
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <mutex>

#include "core/base/random.h"
#include "tests/parallel/defects.h"
#include "tests/parallel/passing_exchanges.h"

namespace cogvx::test {
namespace {

constexpr uint64_t kSeed = 5;
constexpr size_t kLatentDims = 4;
// Leading extents that tell what is made once: samples of a posterior, and its moments.
constexpr int64_t kSampleChannels = 16, kMomentChannels = 32;

class SeedPerRank final : public PassingWork {
 public:
  SeedPerRank(WorkExchange& inner, int rank)
      : PassingWork(inner), generator_(make_generator(kSeed + rank)) {}
  at::Tensor made_once(const TensorShape& shape, const std::function<at::Tensor()>& make) override {
    if (shape.sizes.size() != kLatentDims) return inner_.made_once(shape, make);
    return draw_normal(shape.sizes, generator_, shape.dtype);
  }

 private:
  at::Generator generator_;
};

// Every rank samples the posterior of what it encoded.
class PosteriorPerRank final : public PassingWork {
 public:
  PosteriorPerRank(WorkExchange& inner, int rank)
      : PassingWork(inner), generator_(make_generator(kSeed + rank)) {}
  at::Tensor made_once(const TensorShape& shape, const std::function<at::Tensor()>& make) override {
    if (shape.sizes[0] != kSampleChannels) return inner_.made_once(shape, make);
    return draw_normal(shape.sizes, generator_, shape.dtype);
  }

 private:
  at::Generator generator_;
};

// The condition stays where its tiles came together; the others have none.
class ConditionOfRank0 final : public PassingWork {
 public:
  ConditionOfRank0(WorkExchange& inner, int rank) : PassingWork(inner), rank_(rank) {}
  at::Tensor made_once(const TensorShape& shape, const std::function<at::Tensor()>& make) override {
    const at::Tensor made = inner_.made_once(shape, make);
    const bool lost = rank_ > 0 && shape.sizes[0] == kMomentChannels;
    return lost ? at::zeros(made.sizes(), made.options()) : made;
  }

 private:
  int rank_;
};

// Each rank draws its latent frames with the right seed, but in the shape of its slice.
class NoiseInSlices final : public PassingWork {
 public:
  NoiseInSlices(WorkExchange& inner, int slices) : PassingWork(inner), slices_(slices) {}
  at::Tensor made_once(const TensorShape& shape, const std::function<at::Tensor()>& make) override {
    if (shape.sizes.size() != kLatentDims) return inner_.made_once(shape, make);
    std::vector<at::Tensor> parts;
    for (int slice = 0; slice < slices_; ++slice) {
      std::vector<int64_t> sizes = shape.sizes;
      sizes[0] = shape.sizes[0] * (slice + 1) / slices_ - shape.sizes[0] * slice / slices_;
      at::Generator generator = make_generator(kSeed);
      parts.push_back(draw_normal(sizes, generator, shape.dtype));
    }
    return at::cat(parts);
  }

 private:
  int slices_;
};

// Blends tiles as they arrive: each rank's first one before any second, and of those the last
// first.
class TilesAsTheyArrive final : public PassingWork {
 public:
  struct Arrivals {
    std::mutex mutex;
    std::vector<std::pair<int64_t, int64_t>> order;  // the owner's how-manieth, minus the tile
  };
  TilesAsTheyArrive(WorkExchange& inner, std::shared_ptr<Arrivals> arrivals)
      : PassingWork(inner), arrivals_(std::move(arrivals)) {}

  std::vector<at::Tensor> run_tiles(std::span<const TileJob> jobs,
                                    const std::function<at::Tensor(int64_t)>& decode) override {
    int64_t done = 0;
    std::vector<at::Tensor> tiles = inner_.run_tiles(jobs, [&](int64_t i) {
      {
        const std::lock_guard lock(arrivals_->mutex);
        arrivals_->order.emplace_back(done++, -i);
      }
      return decode(i);
    });
    if (tiles.empty()) return tiles;
    // A place takes the next one of its size.
    std::sort(arrivals_->order.begin(), arrivals_->order.end());
    std::vector<at::Tensor> arrived;
    for (const auto& [turn, tile] : arrivals_->order) arrived.push_back(tiles[-tile]);
    arrivals_->order.clear();
    std::vector<at::Tensor> placed;
    for (const at::Tensor& place : tiles) {
      const auto next = std::find_if(arrived.begin(), arrived.end(), [&](const at::Tensor& tile) {
        return tile.sizes() == place.sizes();
      });
      placed.push_back(*next);
      arrived.erase(next);
    }
    return placed;
  }

 private:
  std::shared_ptr<Arrivals> arrivals_;
};

void plant_arrivals(ProcessParts& p) {
  static auto arrivals = std::make_shared<TilesAsTheyArrive::Arrivals>();
  if (p.groups.mesh.rank == 0) arrivals = std::make_shared<TilesAsTheyArrive::Arrivals>();
  p.groups.world.barrier();
  p.work = std::make_unique<TilesAsTheyArrive>(keep(p, p.work), arrivals);
}

}  // namespace

const std::vector<Defect>& work_defects() {
  static const std::vector<Defect> all = {
      {"a seed for every rank", "tiny-5b", 1, 2, "latents before the first step",
       [](ProcessParts& p) {
         p.work = std::make_unique<SeedPerRank>(keep(p, p.work), p.groups.mesh.rank);
       }},
      {"noise in the shape of a rank's slice", "tiny-2b", 1, 2, "latents before the first step",
       [](ProcessParts& p) {
         p.work = std::make_unique<NoiseInSlices>(keep(p, p.work), p.groups.mesh.sp);
       }},
      {"tiles blended as they arrive", "tiny-2b", 1, 3, "frame 0", plant_arrivals},
      {"a posterior sampled by each rank", "tiny-1.5", 1, 2, "latents before the first step",
       [](ProcessParts& p) {
         p.work = std::make_unique<PosteriorPerRank>(keep(p, p.work), p.groups.mesh.rank);
       },
       "v2v.ddim"},
      {"a condition on rank 0 only", "tiny-5b-i2v", 2, 1, "moments of the encoder",
       [](ProcessParts& p) {
         p.work = std::make_unique<ConditionOfRank0>(keep(p, p.work), p.groups.mesh.rank);
       },
       "i2v.dpm_other_frames"},
      {"encoded tiles blended as they arrive", "tiny-5b-i2v", 1, 3, "moments of the encoder",
       plant_arrivals, "i2v.dpm_other_frames"},
  };
  return all;
}

}  // namespace cogvx::test
