#include "app/host_memory.h"

#include "app/ranks.h"
#include "core/vae/tiles.h"
#include "parallel/device_share.h"
#include "parallel/ownership.h"

namespace cogvx::app {

at::Device device_of(const Placement& placement) {
  return placement.device == "cuda" ? at::kCUDA : at::kCPU;
}

DeviceShare own_share(const Checkpoint& checkpoint, const Request& request,
                      const Placement& placement, const Mesh& mesh) {
  const SequenceMode mode = sequence_mode(placement.sp_mode);
  DeviceShare share =
      mesh.sp == 1
          ? whole_share(checkpoint, request)
          : sequence_share(mode, pass_shape(request, checkpoint, device_of(placement)).sequence,
                           {mesh.sp_rank(), mesh.sp});
  const LatentShape latents = latent_shape(request, checkpoint);
  share.encodes_text = share.joins_tiles = mesh.rank == 0;
  share.encoded =
      own_tiles(plan_encoder_tiles(request.vae_tile, request.height, request.width), mesh);
  share.decoded = own_tiles(plan_tiles(request.vae_tile, latents.height, latents.width), mesh);
  return share;
}

MemoryPlan plan_host_memory(const RunPlan& plan, const Checkpoint& checkpoint, const Mesh& mesh) {
  Placement on_host = plan.placement;
  on_host.device = "cpu";
  return plan_shared_memory(checkpoint, plan.request, on_host.threads,
                            own_share(checkpoint, plan.request, on_host, mesh));
}

}  // namespace cogvx::app
