#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/support/demo_run.h"
#include "tests/support/free_port.h"
#include "tests/support/program.h"

// What goes wrong with one of several processes, and what becomes of the run. Prints a table.
namespace cogvx::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using Clock = std::chrono::steady_clock;

// Words before the program's own path: a script that starts it.
constexpr char kLauncher[] = "";
constexpr int kTimeout = 5;  // --dist-timeout
constexpr double kLongestEnd = 10;

bool all_rows() { return std::getenv("COGVX_LONG") != nullptr; }

// Two processes as torchrun starts them, "$@" being the program; the first to fail ends the other.
std::string two_by_environment(const std::string& port, const std::string& second_variables = "") {
  return "exec bash -c '"
         "export WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=" +
         port + "; RANK=0 \"$@\" & first=$!; " + second_variables +
         " RANK=1 \"$@\" & second=$!; "
         "wait -n; code=$?; if [ $code != 0 ]; then sleep 3; kill -KILL $first $second; fi; "
         "wait; exit $code' bash \"$@\"";
}

struct Fault {
  std::string name;
  bool always = false;  // or only in long runs
  int code = 7;
  std::string says;  // part of the line
  // Shell variables for tests/support/hostile_world.cpp; none: `act` does it.
  std::string variables{};
  std::function<void(const Program&, const std::string& folder)> act{};  // at the fourth step
  bool stops = false;               // nobody notices before --dist-timeout
  std::vector<std::string> more{};  // arguments
  std::string shell{};              // see ProgramCall; two processes where it is given
};

class FaultTable : public testing::Test {
 protected:
  std::vector<std::string> command(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = {
        "--model", demo_model(), "-p", kDemoPrompt,   "--steps", "12", "--vae-tile",
        "48x40",   "--threads",  "1",  "--scheduler", "dpm",     "-o", video_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  json finished(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = command(more);
    arguments.insert(arguments.end(), {"--json", "--overwrite"});
    const ProgramResult result = run_cogvx_gen(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  }
  void clear() const {
    for (const std::string& name : names_in(folder_.path())) fs::remove_all(folder_ / name);
  }
  void run_rows(const std::vector<Fault>& rows);
  void run_row(const Fault& fault);
  std::string go_on(const Fault& fault, const std::string& out);

  TemporaryFolder folder_;
  std::string video_ = folder_ / "v.mp4";
  std::string reference_;
};

// The line that says most of what the row wants, without the folder's name.
std::string line_with(const std::string& err, const std::string& words, const std::string& folder) {
  const size_t at = err.find(words);
  if (at == std::string::npos) return "";
  const size_t start = err.rfind('\n', at) + 1;
  std::string line = err.substr(start, err.find('\n', at) - start);
  for (size_t i = line.find(folder); i != std::string::npos; i = line.find(folder))
    line.erase(i, folder.size() + 1);
  std::replace(line.begin(), line.end(), '|', '/');
  return line.size() > 240 ? line.substr(0, 240) + "..." : line;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// What was finished before the fault is not made again.
const char* wanted_end(const Fault& fault) {
  if (fault.code == 0) return "made";
  if (fault.name.find("in decode") != std::string::npos) return "decoded";
  return fault.name.find("at step") != std::string::npos ? "resumed" : "made anew";
}

// From what the lost run left, on another number of processes: the reference's bytes.
std::string FaultTable::go_on(const Fault& fault, const std::string& out) {
  const std::string state = folder_ / "v.state.safetensors";
  const std::string latents = folder_ / "v.latents.safetensors";
  json report;
  std::string how;
  if (fault.code == 0) {
    report = json::parse(out, nullptr, /*allow_exceptions=*/false);
    how = "made";
  } else if (fs::exists(latents)) {
    report = finished({"--decode-latents", latents});
    how = "decoded";
  } else if (fs::exists(state)) {
    report = finished({"--resume", state, "--cp", "1", "--sp", "1"});
    EXPECT_GE(report["continued_from"]["step"], 3);
    how = "resumed at step " + report["continued_from"]["step"].dump();
  } else {
    report = finished({});
    how = "made anew";
  }
  EXPECT_EQ(report["sha256_frames"], reference_) << how;
  EXPECT_TRUE(how.starts_with(wanted_end(fault))) << how;
  return how;
}

void FaultTable::run_row(const Fault& fault) {
  SCOPED_TRACE(fault.name);
  const std::string seen = folder_ / "seen";
  std::vector<std::string> arguments =
      command({"--progress", "json", "--json", "--dist-timeout", std::to_string(kTimeout)});
  const std::vector<std::string> mesh = fault.shell.empty()
                                            ? std::vector<std::string>{"--cp", "2", "--sp", "2"}
                                            : std::vector<std::string>{"--sp", "2"};
  arguments.insert(arguments.end(), mesh.begin(), mesh.end());
  arguments.insert(arguments.end(), fault.more.begin(), fault.more.end());
  std::string shell = std::string("exec ") + kLauncher + " \"$@\"";
  if (!fault.shell.empty()) shell = fault.shell;
  if (!fault.variables.empty()) {
    shell = in_hostile_world(fault.variables + " COGVX_TEST_SEEN='" + seen + "'");
    shell.replace(shell.find("exec"), 4, std::string("exec ") + kLauncher);
  }
  Program program({.arguments = arguments, .input = {}, .shell = shell});
  Clock::time_point start = Clock::now();
  if (fault.act) {
    ASSERT_TRUE(program.wait_for(kFourthStep)) << program.err();
    start = Clock::now();
    fault.act(program, folder_.path());
  } else if (!fault.variables.empty()) {
    while (!fs::exists(seen) && !program.ended())
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    ASSERT_TRUE(fault.code == 0 || fs::exists(seen)) << program.err();
    start = Clock::now();
  }
  const double limit = kLongestEnd + (fault.stops ? kTimeout : 0);
  const auto running = [&] { return processes_naming(folder_.path()); };
  while (!(program.ended() && running().empty()) && seconds_since(start) < limit + 1)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const double seconds = seconds_since(start);
  EXPECT_LE(seconds, limit);
  for (const pid_t left : running()) {
    ADD_FAILURE() << "process " << left << " is still there";
    kill(left, SIGKILL);
  }
  const ProgramResult result = program.wait();
  EXPECT_EQ(result.exit_code, fault.code) << result.err;
  EXPECT_NE(result.err.find(fault.says), std::string::npos) << result.err;
  if (fault.code != 0) {
    EXPECT_EQ(result.out, "");
    EXPECT_FALSE(fs::exists(video_)) << "somebody went on";
  }
  const std::string how = go_on(fault, result.out);
  std::printf("| %s | %.1f | %d | %s | %s |\n", fault.name.c_str(), seconds, result.exit_code,
              fault.says.empty() ? "" : line_with(result.err, fault.says, folder_.path()).c_str(),
              how.c_str());
  std::fflush(stdout);
}

void FaultTable::run_rows(const std::vector<Fault>& rows) {
  reference_ = finished({})["sha256_frames"];
  clear();
  std::printf(
      "| fault | s until all are gone | exit code | line | then |\n|---|---|---|---|---|\n");
  int shown = 0;
  for (const Fault& row : rows) {
    if (!row.always && !all_rows()) continue;
    run_row(row);
    clear();
    ++shown;
  }
  std::printf("%d rows of %zu; all of them with COGVX_LONG=1\n", shown, rows.size());
}

// The moments that a process makes known by the file it opens.
std::string at(const char* file, int rank, const char* instead = "") {
  std::string variables =
      "COGVX_TEST_KILL=open COGVX_TEST_KILL_AT=2 COGVX_TEST_KILL_FILE=" + std::string(file) +
      " COGVX_TEST_RANK=" + std::to_string(rank);
  if (*instead != '\0') variables += std::string(" COGVX_TEST_INSTEAD=") + instead;
  return variables;
}
constexpr char kLoad[] = "transformer/diffusion";
constexpr char kText[] = "text_encoder/model";
constexpr char kDecode[] = "vae/diffusion";

std::function<void(const Program&, const std::string&)> send_to_rank(int rank, int signal) {
  return [=](const Program&, const std::string& folder) {
    const pid_t process = rank_naming(folder, rank);
    ASSERT_GT(process, 0);
    kill(process, signal);
  };
}

std::vector<Fault> signal_rows() {
  const std::string killed = "was killed by signal 9", silent = "gave no sign of life for 5 s";
  return {
      {"SIGKILL of rank 1 at load", false, 7, "rank 1 of 4, load: " + killed, at(kLoad, 1)},
      {"SIGKILL of rank 0 in T5", true, 7, "rank 0 of 4, encode_text: " + killed, at(kText, 0)},
      {"SIGKILL of rank 3 at step 4", true, 7, killed, {}, send_to_rank(3, SIGKILL)},
      {"SIGKILL of rank 2 in decode", false, 7, "rank 2 of 4, decode: " + killed, at(kDecode, 2)},
      {"SIGSTOP of rank 1 at load",
       false,
       7,
       "rank 1 of 4 " + silent + " (last seen: load)",
       at(kLoad, 1, "stop"),
       {},
       true},
      {"SIGSTOP of rank 0 in T5",
       false,
       7,
       "rank 0 of 4 " + silent + " (last seen: encode_text)",
       at(kText, 0, "stop"),
       {},
       true},
      {"SIGSTOP of rank 2 at step 4",
       true,
       7,
       "rank 2 of 4 " + silent + " (last seen: denoise, step",
       {},
       send_to_rank(2, SIGSTOP),
       true},
      {"SIGSTOP of rank 3 in decode",
       false,
       7,
       "rank 3 of 4 " + silent + " (last seen: decode)",
       at(kDecode, 3, "stop"),
       {},
       true},
      {"SIGKILL of the supervisor at step 4",
       true,
       128 + SIGKILL,
       "",
       {},
       [](const Program& program, const std::string&) { program.send(SIGKILL); },
       false,
       {"--checkpoint-every", "1"}},
  };
}

std::vector<Fault> error_rows(const std::string& no_memory) {
  const std::string thrown = ": internal error: a fault that a test put here";
  const std::string gone = "got no more memory";
  return {
      {"exception of rank 2 at load", true, 1, "rank 2 of 4, load" + thrown, at(kLoad, 2, "throw")},
      {"exception of rank 0 in T5", false, 1, "rank 0 of 4, encode_text" + thrown,
       at(kText, 0, "throw")},
      {"exception of rank 0 at step 4",
       false,
       1,
       "rank 0 of 4, denoise, step 4 of 12",
       "COGVX_TEST_KILL=fsync COGVX_TEST_KILL_AT=4 COGVX_TEST_KILL_FILE=.v.state "
       "COGVX_TEST_RANK=0 COGVX_TEST_INSTEAD=throw",
       {},
       false,
       {"--checkpoint-every", "1"}},
      {"exception of rank 1 in decode", false, 1, "rank 1 of 4, decode" + thrown,
       at(kDecode, 1, "throw")},
      {"no memory for rank 3 at load", false, 5, gone, at(kLoad, 3, "memory")},
      {"no memory for rank 0 in T5", false, 5, gone, at(kText, 0, "memory")},
      {"no memory for rank 1 at step 4", false, 5, gone,
       "COGVX_TEST_RANK=1 COGVX_TEST_WHEN='" + no_memory + "'",
       [no_memory](const Program&, const std::string&) {
         std::fclose(std::fopen(no_memory.c_str(), "w"));
       }},
      {"no memory for rank 2 in decode", true, 5, gone, at(kDecode, 2, "memory")},
      {"disk full at a state file",
       true,
       0,
       "the state after step 3 is not saved: ",
       "COGVX_TEST_FULL=.v.state",
       {},
       false,
       {"--checkpoint-every", "3"}},
  };
}

std::vector<Fault> environment_rows(const std::string& taken_port) {
  const auto port = [] { return std::to_string(free_port()); };
  return {
      {"the port of rank 0 is taken",
       true,
       7,
       "cannot listen at 127.0.0.1:" + taken_port,
       {},
       {},
       false,
       {},
       two_by_environment(taken_port)},
      {"two builds in one run",
       true,
       7,
       "the engine (build, libraries, instruction set) differs",
       {},
       {},
       false,
       {},
       two_by_environment(port(), "ATEN_CPU_CAPABILITY=avx2")},
      {"SIGSTOP of rank 1 at step 4, without our supervisor",
       true,
       7,
       "rank 1 of 2 gave no sign of life for 5 s (last seen: ",
       {},
       send_to_rank(1, SIGSTOP),
       true,
       {},
       two_by_environment(port())},
      {"SIGSTOP of rank 0 at step 4, without our supervisor",
       false,
       7,
       "rank 0 of 2 gave no sign of life for 5 s (last seen: ",
       {},
       send_to_rank(0, SIGSTOP),
       true,
       {"--checkpoint-every", "1"},
       two_by_environment(port())},
  };
}

// A socket that listens, as another program's.
struct TakenPort {
  int socket_number = socket(AF_INET, SOCK_STREAM, 0);
  std::string port;

  TakenPort() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_ANY);
    EXPECT_EQ(bind(socket_number, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(listen(socket_number, 8), 0);
    socklen_t size = sizeof address;
    getsockname(socket_number, reinterpret_cast<sockaddr*>(&address), &size);
    port = std::to_string(ntohs(address.sin_port));
  }
  ~TakenPort() { close(socket_number); }
};

TEST_F(FaultTable, SignalsEndAllAndNothingIsLost) { run_rows(signal_rows()); }

TEST_F(FaultTable, AnErrorOfOneEndsAllAndNothingIsLost) {
  run_rows(error_rows(folder_ / "no-memory"));
}

TEST_F(FaultTable, UnderAnotherLauncherItIsNoWorse) {
  const TakenPort taken;
  run_rows(environment_rows(taken.port));
}

}  // namespace
}  // namespace cogvx::test
