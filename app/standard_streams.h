#pragma once

#include <string>

namespace cogvx::app {

// Where a shell closed standard input, output or error, the next file opened would take its place
// and get what was meant for the stream. Fills such places with a file that refuses every byte.
void open_closed_streams();

// Flushes standard output. Throws OutputError naming `what` where it did not take everything.
void finish_standard_output(const std::string& what);

// The text in one line: control characters, which file names and prompts may hold, are shown as
// codes.
std::string one_line(const std::string& text);

}  // namespace cogvx::app
