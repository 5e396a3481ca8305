#include "app/prompts.h"

#include "app/text_input.h"
#include "core/base/errors.h"
#include "core/text/prompt_text.h"

namespace cogvx::app {
namespace {

// Far above the 226 tokens that any model reads; what is longer is no prompt.
constexpr size_t kMaxPromptBytes = size_t{4} << 20;
constexpr size_t kShownBytes = 200;

std::vector<int64_t> encode_prompt(const Tokenizer& tokenizer, const std::string& name,
                                   const std::string& text, int64_t tokens,
                                   std::string& cut_notice) {
  TokenizedPrompt prompt = tokenizer.encode_padded(text, tokens);
  if (!prompt.cut_text.empty()) {
    cut_notice = name + " is longer than the " + std::to_string(tokens) +
                 " tokens this model reads; cut off: '" + excerpt(prompt.cut_text, kShownBytes) +
                 "'";
  }
  return prompt.ids;
}

void notice_strange_text(const std::string& name, const std::string& text,
                         std::vector<std::string>& notices) {
  if (is_blank(text))
    notices.push_back(name + " holds only spaces, which read as no prompt at all");
  if (is_mostly_non_latin(text)) {
    notices.push_back(name +
                      " is mostly not in Latin letters; the text encoder of CogVideoX reads "
                      "English, so translate it for a better video");
  }
}

}  // namespace

std::string read_prompt(const Options& options) {
  if (options.prompt) return *options.prompt;
  std::string text =
      read_text(options.prompt_file, "--prompt-file " + options.prompt_file, kMaxPromptBytes);
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

void check_prompts(const Request& request, std::vector<std::string>& notices) {
  const auto check = [&](const std::string& name, const std::string& text) {
    check_prompt(text, name);
    notice_strange_text(name, text, notices);
  };
  check("--prompt", request.prompt);
  check("--negative-prompt", request.negative_prompt);
}

PromptIds encode_prompts(const Tokenizer& tokenizer, const Request& request, bool strict,
                         std::vector<std::string>& notices) {
  const auto encode = [&](const std::string& name, const std::string& text) {
    std::string cut;
    std::vector<int64_t> ids = encode_prompt(tokenizer, name, text, request.max_text_tokens, cut);
    if (!cut.empty() && strict) throw UsageError(cut + "; shorten it, or drop --strict-prompt");
    if (!cut.empty()) notices.push_back(cut);
    return ids;
  };
  PromptIds ids{.prompt = encode("--prompt", request.prompt), .negative = {}};
  if (request.uses_guidance()) ids.negative = encode("--negative-prompt", request.negative_prompt);
  return ids;
}

}  // namespace cogvx::app
