#include "app/compare/page/page_parts.h"

#include <algorithm>
#include <map>
#include <set>

#include "app/compare/number_text.h"
#include "app/compare/page/html_text.h"
#include "app/json_text.h"

namespace cogvx::app {
namespace {

using nlohmann::json;

int64_t identical_frames(const VideoDistance& distance) {
  return std::ranges::count_if(distance.frames, [](const auto& frame) { return frame.mse == 0; });
}

std::string decibels(double mse) {
  return mse == 0 ? "<span class=\"infinite\" title=\"identical\">inf</span>"
                  : number_text("%.2f", psnr_of(mse)) + " dB";
}

// Leads to its frame.
std::string at_frame(const std::string& value, int64_t frame) {
  const std::string number = std::to_string(frame);
  return value + " <button type=\"button\" class=\"jump\" data-frame=\"" + number + "\">frame " +
         number + "</button>";
}

std::string cell(const std::string& content) { return "<td>" + content + "</td>"; }

std::string numbers_row(const PageResult& result, const std::string& label) {
  const VideoDistance& d = result.distance;
  const auto frame = [&](int64_t index) { return d.frames[static_cast<size_t>(index)]; };
  const int64_t psnr_at = d.worst_psnr_frame(), ssim_at = d.worst_ssim_frame();
  const bool same = is_same(d);
  const std::string worst_psnr = decibels(frame(psnr_at).mse);
  const std::string worst_ssim = number_text("%.6f", frame(ssim_at).ssim);
  return "<tr><th scope=\"row\">" + label + " <span class=\"file\">" +
         html_piece(result.video.name) + "</span></th>" +
         cell(std::to_string(identical_frames(d)) + " of " + std::to_string(d.frames.size())) +
         cell(decibels(d.mean_mse())) + cell(same ? worst_psnr : at_frame(worst_psnr, psnr_at)) +
         cell(number_text("%.6f", d.mean_ssim())) +
         cell(same ? worst_ssim : at_frame(worst_ssim, ssim_at)) +
         cell(std::to_string(d.max_abs())) + cell(number_text("%.4g", d.mean_abs())) + "</tr>\n";
}

// For the script: what the legend says at each frame.
std::string frames_data(const VideoDistance& distance) {
  std::string psnr, ssim, max_abs;
  for (const FrameDistance& frame : distance.frames) {
    psnr += (frame.mse == 0 ? "identical" : number_text("%.2f", psnr_of(frame.mse)) + " dB") + ",";
    ssim += number_text("%.6f", frame.ssim) + ",";
    max_abs += std::to_string(frame.max_abs) + ",";
  }
  for (std::string* list : {&psnr, &ssim, &max_abs}) list->pop_back();
  return " data-psnr=\"" + psnr + "\" data-ssim=\"" + ssim + "\" data-max=\"" + max_abs + "\"";
}

// "scheduler.beta_end" -> its value; lists stay whole.
void flatten(const json& value, const std::string& name, std::map<std::string, json>& fields) {
  if (!value.is_object() || value.empty()) {
    fields[name] = value;
    return;
  }
  for (const auto& [key, inner] : value.items())
    flatten(inner, name.empty() ? key : name + "." + key, fields);
}

using Fields = std::map<std::string, json>;

struct Column {
  bool known = false;
  Fields fields;
};

Column column_of(const json& record) {
  Column column{.known = record.is_object(), .fields = {}};
  if (column.known && !record.empty()) flatten(record, "", column.fields);
  return column;
}

const json* field(const Column& column, const std::string& name) {
  const auto found = column.fields.find(name);
  return found == column.fields.end() ? nullptr : &found->second;
}

bool differs(const Column& reference, const Column& test, const std::string& name) {
  if (!reference.known || !test.known) return false;
  const json *a = field(reference, name), *b = field(test, name);
  return (a == nullptr) != (b == nullptr) || (a != nullptr && *a != *b);
}

std::string value_html(const Column& column, const std::string& name) {
  if (!column.known) return "<span class=\"unknown\">not recorded</span>";
  const json* value = field(column, name);
  if (!value) return "<span class=\"unknown\">none</span>";
  if (!value->is_string()) return html(json_text(*value));
  const auto text = value->get<std::string>();
  return text.empty() ? "<span class=\"unknown\">empty</span>" : html_piece(text);
}

// Kept in view although they may be the same.
bool is_leading(const std::string& name) { return name == "prompt" || name == "seed"; }

struct RecordTable {
  std::string head;
  std::string shown;
  std::string same;
  int same_count = 0;
};

RecordTable table_of(const std::vector<Column>& columns) {
  RecordTable table{.head = "<tr><th scope=\"col\">field</th><th scope=\"col\">REF</th>"};
  for (size_t i = 1; i < columns.size(); ++i)
    table.head += "<th scope=\"col\">" + test_label(i - 1, columns.size() - 1) + "</th>";
  table.head += "</tr>\n";
  std::set<std::string> names;
  for (const Column& column : columns) {
    for (const auto& [name, value] : column.fields) names.insert(name);
  }
  for (const std::string& name : names) {
    std::string row =
        "<tr><th scope=\"row\">" + html(name) + "</th>" + cell(value_html(columns[0], name));
    bool any = false;
    for (size_t i = 1; i < columns.size(); ++i) {
      const bool other = differs(columns[0], columns[i], name);
      any |= other;
      row += (other ? "<td class=\"differs\">" : "<td>") + value_html(columns[i], name) + "</td>";
    }
    row += "</tr>\n";
    const bool shown = any || is_leading(name);
    (shown ? table.shown : table.same) += row;
    table.same_count += shown ? 0 : 1;
  }
  return table;
}

struct RecordTitle {
  const char* style;
  const char* title;
  const char* meaning;
};

std::string record_html(const RecordTitle& title, const std::vector<Column>& all) {
  std::string out = std::string("<section class=\"") + title.style + "\"><h3>" + title.title +
                    " <small>" + title.meaning + "</small></h3>\n";
  if (std::ranges::none_of(all, &Column::known))
    return out + "<p class=\"unknown\">Not recorded in these files.</p></section>\n";
  const RecordTable table = table_of(all);
  const auto whole = [&](const std::string& rows) {
    return "<div class=\"scroll\"><table><thead>" + table.head + "</thead><tbody>\n" + rows +
           "</tbody></table></div>\n";
  };
  if (!table.shown.empty()) out += whole(table.shown);
  if (table.same_count > 0) {
    out += "<details><summary>" + std::to_string(table.same_count) +
           (table.same_count == 1 ? " field" : " fields") + " in which none differs</summary>" +
           whole(table.same) + "</details>";
  }
  return out + "</section>\n";
}

std::string swatch(size_t index) {
  return "<span class=\"swatch colour-" + std::to_string(index % 8) + "\"></span>";
}

}  // namespace

bool is_same(const VideoDistance& distance) {
  return identical_frames(distance) == std::ssize(distance.frames);
}

std::string test_label(size_t index, size_t tests) {
  return tests == 1 ? "TEST" : "TEST " + std::to_string(index + 1);
}

std::string verdicts_html(const std::vector<PageResult>& results) {
  std::string out;
  for (size_t i = 0; i < results.size(); ++i) {
    const bool same = is_same(results[i].distance);
    out += std::string("<li class=\"") + (same ? "identical" : "different") + "\"><strong>" +
           (same ? "identical" : "differs") + "</strong> <span>" + test_label(i, results.size()) +
           " " + html_piece(results[i].video.name) + ": " + html(results[i].verdict) +
           "</span></li>\n";
  }
  return out;
}

std::string numbers_html(const std::vector<PageResult>& results) {
  std::string out;
  for (size_t i = 0; i < results.size(); ++i)
    out += numbers_row(results[i], swatch(i) + test_label(i, results.size()));
  return out;
}

std::string legend_html(const std::vector<PageResult>& results) {
  std::string out;
  for (size_t i = 0; i < results.size(); ++i) {
    out += "<li" + frames_data(results[i].distance) + ">" + swatch(i) +
           test_label(i, results.size()) +
           " <output class=\"psnr\"></output><span>SSIM <output class=\"ssim\"></output></span>"
           "<span>max <output class=\"max\"></output></span></li>\n";
  }
  return out;
}

std::string records_html(const VideoRecord& reference, const std::vector<PageResult>& results) {
  const auto columns = [&](json VideoRecord::*part) {
    std::vector<Column> all{column_of(reference.*part)};
    for (const PageResult& result : results) all.push_back(column_of(result.video.record.*part));
    return all;
  };
  return record_html({"record", "Request", "what the video is"}, columns(&VideoRecord::request)) +
         record_html({"record", "Engine", "what computed it"}, columns(&VideoRecord::engine)) +
         record_html({"record expected", "Placement", "where and how; never changes a byte"},
                     columns(&VideoRecord::placement));
}

}  // namespace cogvx::app
