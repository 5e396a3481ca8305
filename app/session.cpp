#include "app/session.h"

#include "app/exit_code.h"

namespace cogvx::app {
namespace {

// "<exit code> <reason>"
std::string failure_text(const Error& error) {
  return std::to_string(exit_code_of(error)) + " " + error.what();
}

}  // namespace

void Session::together(const std::function<void()>& piece) const {
  if (!is_batch) return piece();
  std::string own;
  const auto keep = [&](const Error& error) {
    // Whatever fails after a signal fails because of it.
    if (stop_signal.load() != 0) throw;
    own = failure_text(error);
  };
  try {
    piece();
  } catch (const UsageError& error) {
    keep(error);
  } catch (const DataError& error) {
    keep(error);
  } catch (const NumericError& error) {
    keep(error);
  } catch (const OutputError& error) {
    keep(error);
  }
  const std::string first = ranks.first_said(own);
  if (first.empty()) return;
  const size_t space = first.find(' ');
  throw ItemFailed(first.substr(space + 1), std::stoi(first.substr(0, space)));
}

}  // namespace cogvx::app
