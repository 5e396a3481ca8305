#include "core/text/tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "core/base/errors.h"
#include "core/base/json.h"
#include "core/base/json_reader.h"
#include "core/base/lfs_pointer.h"
#include "core/base/read_file.h"
#include "core/base/sha256.h"
#include "core/text/charsmap.h"
#include "core/text/prompt_text.h"

namespace cogvx {
namespace {

constexpr int64_t kPad = 0;
constexpr int64_t kEnd = 1;
constexpr int64_t kExtraIds = 100;
constexpr size_t kMaxConfigBytes = size_t{64} << 20;
constexpr size_t kMaxModelBytes = size_t{64} << 20;  // T5's has 0.8 MB

// T5 vocabularies have 100 <extra_id_k> above their pieces unless tokenizer_config.json says
// otherwise.
int64_t count_extra_ids(const std::filesystem::path& config_path) {
  if (!may_exist(config_path)) return kExtraIds;
  const nlohmann::json config =
      parse_json_object(read_file(config_path, kMaxConfigBytes), config_path.string());
  int64_t count = kExtraIds;
  JsonReader(config, config_path.string()).count("extra_ids", count, 0, 10000);
  return count;
}

}  // namespace

struct Tokenizer::Model {
  sentencepiece::SentencePieceProcessor processor;
  std::string sha256;
  std::map<std::string, int64_t, std::less<>> special;  // literal -> id

  void append_pieces(std::string_view text, std::vector<int64_t>& ids) const {
    std::vector<int> pieces;
    if (const auto status = processor.Encode(text, &pieces); !status.ok()) {
      throw DataError("tokenizer: sentencepiece failed: " + status.ToString());
    }
    ids.insert(ids.end(), pieces.begin(), pieces.end());
  }

  // The special token that starts at text[at]; null for none.
  const std::pair<const std::string, int64_t>* special_at(std::string_view text, size_t at) const {
    if (text[at] != '<') return nullptr;
    const size_t end = text.find('>', at);
    if (end == std::string_view::npos) return nullptr;
    const auto found = special.find(text.substr(at, end - at + 1));
    return found == special.end() ? nullptr : &*found;
  }
};

Tokenizer::Tokenizer(const std::filesystem::path& tokenizer_dir)
    : model_(std::make_unique<Model>()) {
  const std::filesystem::path path = tokenizer_dir / "spiece.model";
  require_file(path, "is the download complete?");
  const std::string bytes = read_file(path, kMaxModelBytes);
  refuse_lfs_pointer(bytes, path.string());
  model_->sha256 = sha256_hex(bytes.data(), bytes.size());
  if (const auto status = model_->processor.LoadFromSerializedProto(bytes); !status.ok()) {
    throw DataError(path.string() + ": is not a sentencepiece model: " + status.ToString());
  }
  check_charsmaps(bytes, path.string());
  const auto& p = model_->processor;
  if (p.eos_id() != kEnd || p.pad_id() != kPad) {
    throw DataError(path.string() + ": has </s> = " + std::to_string(p.eos_id()) +
                    " and <pad> = " + std::to_string(p.pad_id()) + ", a T5 vocabulary has 1 and 0");
  }
  model_->special = {{"</s>", kEnd}, {"<pad>", kPad}, {"<unk>", p.unk_id()}};
  // <extra_id_k> lie above the vocabulary, counted downwards; the file holds none of them.
  const int64_t extra_ids = count_extra_ids(tokenizer_dir / "tokenizer_config.json");
  for (int64_t k = 0; k < extra_ids; ++k) {
    model_->special["<extra_id_" + std::to_string(k) + ">"] = p.GetPieceSize() + extra_ids - 1 - k;
  }
}

Tokenizer::~Tokenizer() = default;

const std::string& Tokenizer::sha256() const { return model_->sha256; }

std::vector<int64_t> Tokenizer::encode(const std::string& text) const {
  check_utf8(text, "the prompt");
  std::vector<int64_t> ids;
  const std::string_view view = text;
  size_t begin = 0;
  for (size_t i = 0; i < view.size();) {
    const auto* special = model_->special_at(view, i);
    if (special == nullptr) {
      ++i;
      continue;
    }
    if (i > begin) model_->append_pieces(view.substr(begin, i - begin), ids);
    ids.push_back(special->second);
    begin = i = i + special->first.size();
  }
  if (begin < view.size()) model_->append_pieces(view.substr(begin), ids);
  ids.push_back(kEnd);
  return ids;
}

TokenizedPrompt Tokenizer::encode_padded(const std::string& text, int64_t max_length) const {
  TokenizedPrompt prompt{.ids = encode(text), .cut_text = {}};
  const auto limit = static_cast<size_t>(max_length);
  if (prompt.ids.size() > limit) {
    const std::vector<int> cut(prompt.ids.begin() + static_cast<int64_t>(limit) - 1,
                               prompt.ids.end() - 1);
    const int vocabulary = model_->processor.GetPieceSize();
    if (std::all_of(cut.begin(), cut.end(), [&](int id) { return id < vocabulary; })) {
      (void)model_->processor.Decode(cut, &prompt.cut_text);
    }
    if (prompt.cut_text.empty()) prompt.cut_text = "(special tokens)";
    prompt.ids.resize(limit);
    prompt.ids.back() = kEnd;
  }
  prompt.ids.resize(limit, kPad);
  return prompt;
}

}  // namespace cogvx
