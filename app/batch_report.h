#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "app/console.h"
#include "app/item.h"
#include "app/session.h"

namespace cogvx::app {

// What became of each video of a batch; rank 0's goes to standard output and to the console.
class BatchReport {
 public:
  // All must outlive it. `speaks`: on rank 0.
  BatchReport(const std::vector<Item>& items, bool json, Console& console, bool speaks);

  void begin(size_t item);
  // Of the item begun last.
  void skip(const Item& item);
  void made(double seconds);
  void failed(const Item& item, const ItemFailed& failure);

  int64_t failures() const { return count("failed"); }
  // "; 4 of 20 videos are there, ..." for an error that ends the batch.
  std::string way_on() const;
  // At the end: a table, and what was loaded how often.
  void print_summary(const Loads& loads) const;

 private:
  struct Row {
    int64_t index = 0;
    std::string output;
    std::string seed;
    double seconds = 0;
    std::string verdict = "not begun";
  };
  int64_t count(const std::string& verdict) const;
  void print(const std::string& line, const std::string& output) const;

  std::vector<Row> rows_;
  size_t now_ = 0;
  bool json_;
  Console& console_;
  bool speaks_;
};

}  // namespace cogvx::app
