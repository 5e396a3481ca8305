#include "app/host_memory.h"

#include "app/ranks.h"
#include "core/vae/tiles.h"
#include "parallel/device_share.h"
#include "parallel/ownership.h"

namespace cogvx::app {

MemoryPlan plan_host_memory(const RunPlan& plan, const Checkpoint& checkpoint, const Mesh& mesh) {
  const Request& r = plan.request;
  DeviceShare share = mesh.sp == 1 ? whole_share(checkpoint, r)
                                   : sequence_share(sequence_mode(plan.placement.sp_mode),
                                                    pass_shape(r, checkpoint, at::kCPU).sequence,
                                                    {mesh.sp_rank(), mesh.sp});
  const LatentShape latents = latent_shape(r, checkpoint);
  share.encodes_text = share.joins_tiles = mesh.rank == 0;
  share.encoded = own_tiles(plan_encoder_tiles(r.vae_tile, r.height, r.width), mesh);
  share.decoded = own_tiles(plan_tiles(r.vae_tile, latents.height, latents.width), mesh);
  return plan_shared_memory(checkpoint, r, plan.placement.threads, share);
}

}  // namespace cogvx::app
