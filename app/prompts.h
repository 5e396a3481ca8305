#pragma once

#include <string>
#include <vector>

#include "app/options.h"
#include "core/pipeline/request.h"
#include "core/pipeline/stages.h"
#include "core/text/tokenizer.h"

namespace cogvx::app {

// The prompt of --prompt or --prompt-file. Throws UsageError or DataError.
std::string read_prompt(const Options& options);

// Throws UsageError for text that no tokenizer can take; `notices` tell of text that the model will
// hardly understand.
void check_prompts(const Request& request, std::vector<std::string>& notices);

// Token ids of both prompts; a prompt that is cut is a notice, or UsageError where `strict`.
PromptIds encode_prompts(const Tokenizer& tokenizer, const Request& request, bool strict,
                         std::vector<std::string>& notices);

}  // namespace cogvx::app
