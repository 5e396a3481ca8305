#pragma once

#include <string>
#include <vector>

#include "app/engine.h"
#include "core/pipeline/request.h"

namespace cogvx::app {

// One notice where processes of a run have no rows of the joint sequence or no tile to decode: they
// take part and have nothing to do.
void notice_idle_processes(const Checkpoint& checkpoint, const Request& request,
                           const Placement& placement, std::vector<std::string>& notices);

}  // namespace cogvx::app
