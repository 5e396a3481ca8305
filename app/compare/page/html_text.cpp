#include "app/compare/page/html_text.h"

#include <stdexcept>

#include "app/json_text.h"

namespace cogvx::app {
namespace {

constexpr const char* kReplacement = "\xEF\xBF\xBD";

std::string valid_utf8(std::string_view text) {
  const std::string written = json_text(nlohmann::json(std::string(text)));
  return nlohmann::json::parse(written).get<std::string>();
}

}  // namespace

std::string html(std::string_view text) {
  std::string escaped;
  for (const char c : valid_utf8(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else if (c == '>') {
      escaped += "&gt;";
    } else if (c == '"') {
      escaped += "&quot;";
    } else if (c == '\'') {
      escaped += "&#39;";
    } else if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7F) {
      escaped += kReplacement;
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string html_piece(std::string_view text) { return "<bdi>" + html(text) + "</bdi>"; }

std::string fill_template(std::string_view page, const std::map<std::string, std::string>& values) {
  std::map<std::string, std::string> unused = values;
  std::string filled;
  while (true) {
    const size_t begin = page.find("{{");
    filled += page.substr(0, begin);
    if (begin == std::string_view::npos) break;
    const size_t end = page.find("}}", begin);
    const std::string name(page.substr(begin + 2, end - begin - 2));
    const auto value = values.find(name);
    if (value == values.end())
      throw std::logic_error("the page asks for '" + name + "', which nobody fills");
    filled += value->second;
    unused.erase(name);
    page.remove_prefix(end + 2);
  }
  if (!unused.empty()) throw std::logic_error("the page has no '" + unused.begin()->first + "'");
  return filled;
}

}  // namespace cogvx::app
