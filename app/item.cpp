#include "app/item.h"

#include <nlohmann/json.hpp>

#include "app/input.h"
#include "app/loras.h"
#include "app/repetition.h"
#include "app/session.h"
#include "app/sidecar.h"

namespace cogvx::app {
namespace {

void read_files(const Session& session, Item& item) {
  if (item.saved.path.empty()) item.saved = read_continuation(item.options, session.checkpoint);
  if (item.only_decodes() || item.options.dump_config) return;
  const Monitor reading{
      .on_progress = {},
      .on_notice = [&](const std::string& text) { item.plan.notices.push_back(text); },
      .stop_signal = &session.stop_signal};
  if (session.ranks.is_first())
    item.rgb_FHW3 = read_input(item.options, item.plan.request, reading);
  item.loras.adapters = read_loras(item.options, session.checkpoint, reading);
}

void compare(const Session& session, Item& item) {
  const Engine& engine = session.computer.engine();
  if (!item.saved.path.empty()) {
    check_same_request(item.saved, item.plan.request);
    if (item.saved.engine() != engine_to_json(engine).dump())
      item.plan.notices.push_back(another_engine_text(item.saved.path));
  }
  if (!item.options.from.empty())
    check_repetition(item.options, item.plan.request, engine, item.plan.notices);
}

}  // namespace

void prepare(const Session& session, Item& item) {
  Request& request = item.plan.request;
  if (item.in_batch()) item.moved_before = session.ranks.bytes_moved();
  session.together([&] { read_files(session, item); });
  if (!item.only_decodes() && !item.options.dump_config) {
    item.rgb_FHW3 = share_input(item.rgb_FHW3, request, session.ranks.work());
    identify(item.rgb_FHW3, item.loras.adapters, request);
    item.loras.identities = request.loras;
  }
  session.ranks.agree("the request", request_to_json(request).dump());
  session.together([&] { compare(session, item); });
}

}  // namespace cogvx::app
