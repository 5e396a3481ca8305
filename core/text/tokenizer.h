#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace cogvx {

struct TokenizedPrompt {
  std::vector<int64_t> ids;  // exactly max_length: pieces, </s>, padding with 0
  std::string cut_text;      // what a too long prompt lost; empty when nothing was cut
};

// T5's tokenizer: literal special tokens are split off, the rest goes through sentencepiece
// (transformers: T5Tokenizer).
class Tokenizer {
 public:
  // Loads <tokenizer_dir>/spiece.model. Throws DataError.
  explicit Tokenizer(const std::filesystem::path& tokenizer_dir);
  ~Tokenizer();

  // ids with the closing </s>, neither cut nor padded. Throws UsageError when the text is not
  // UTF-8.
  std::vector<int64_t> encode(const std::string& text) const;
  // SHA-256 of spiece.model.
  const std::string& sha256() const;
  // Cut so that </s> stays last, padded to max_length.
  TokenizedPrompt encode_padded(const std::string& text, int64_t max_length) const;

 private:
  struct Model;
  std::unique_ptr<Model> model_;
};

}  // namespace cogvx
