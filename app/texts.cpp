#include "app/texts.h"

#include <memory>
#include <utility>

#include "app/prompts.h"
#include "app/stage_meter.h"
#include "core/base/errors.h"

namespace cogvx::app {
namespace {

// What is said of it names its line.
PromptIds prompt_ids(const Tokenizer& tokenizer, Item& item) {
  const std::string place = item.in_batch() ? item.label + ": " : "";
  std::vector<std::string> notices;
  try {
    PromptIds ids =
        encode_prompts(tokenizer, item.plan.request, item.options.strict_prompt, notices);
    for (const std::string& text : notices) item.plan.notices.push_back(place + text);
    return ids;
  } catch (const UsageError& error) {
    throw UsageError(place + error.what());
  }
}

// Empty ids where an item needs no text.
std::vector<PromptIds> tokenize(const Session& session, std::vector<Item>& items) {
  std::vector<PromptIds> ids(items.size());
  std::unique_ptr<Tokenizer> tokenizer;
  for (size_t i = 0; i < items.size(); ++i) {
    Item& item = items[i];
    if (item.only_decodes() || item.is_done) continue;
    if (!tokenizer) tokenizer = session.components.tokenizer();
    ids[i] = prompt_ids(*tokenizer, item);
  }
  return ids;
}

}  // namespace

std::vector<ItemTexts> encode_prompts_of(const Session& session, std::vector<Item>& items,
                                         std::vector<StageReport>& stages) {
  std::vector<ItemTexts> texts(items.size());
  if (!session.ranks.is_first()) return texts;
  const std::vector<PromptIds> ids = tokenize(session, items);
  for (const Item& item : items) session.say(item.plan.notices);
  std::vector<PromptIds> wanted;
  for (const PromptIds& one : ids) {
    if (!one.prompt.empty()) wanted.push_back(one);
  }
  if (wanted.empty()) return texts;
  StageMeter meter(session.life, session.computer.ops(), session.host_plan(items.front().plan),
                   items.front().plan.device_memory, stages);
  EncodedTexts encoded;
  meter.run(Stage::kEncodeText,
            [&] { encoded = session.components.encode_texts(wanted, session.monitor()); });
  size_t next = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (ids[i].prompt.empty()) continue;
    texts[i] = {std::move(encoded.states[next]), encoded.encoded[next]};
    ++next;
  }
  return texts;
}

}  // namespace cogvx::app
