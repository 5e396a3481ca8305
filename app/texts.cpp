#include "app/texts.h"

#include <memory>
#include <set>

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
  std::set<std::vector<int64_t>> seen;
  for (size_t i = 0; i < items.size(); ++i) {
    if (ids[i].prompt.empty()) continue;
    wanted.push_back(ids[i]);
    texts[i].prompts += seen.insert(ids[i].prompt).second;
    if (!ids[i].negative.empty()) texts[i].prompts += seen.insert(ids[i].negative).second;
  }
  if (wanted.empty()) return texts;
  StageMeter meter(session.life, session.computer.ops(), session.host_plan(items.front().plan),
                   items.front().plan.device_memory, stages);
  std::vector<TextStates> states;
  meter.run(Stage::kEncodeText,
            [&] { states = session.components.encode_texts(wanted, session.monitor()); });
  auto next = states.begin();
  for (size_t i = 0; i < items.size(); ++i) {
    if (!ids[i].prompt.empty()) texts[i].states = *next++;
  }
  return texts;
}

}  // namespace cogvx::app
