#include "cli/live_screen.hpp"

#include "cli/output_file.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <sstream>
#include <vector>

namespace lockstep {

namespace {

// xterm's control sequences: second screen, cursor, wrapping.
constexpr const char* k_enter = "\033[?1049h\033[?25l\033[?7l\033[2J";
constexpr const char* k_leave = "\033[?7h\033[?25h\033[?1049l";

std::size_t rows_of(int fd) {
    winsize size{};
    return ::ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

}  // namespace

LiveScreen::LiveScreen(int fd) : fd_(fd) {
    (void)write_all(fd_, k_enter);
}

LiveScreen::~LiveScreen() {
    (void)write_all(fd_, k_leave);
}

bool LiveScreen::draw(const std::string& text) {
    return write_all(fd_, frame(text, rows_of(fd_)));
}

std::string frame(const std::string& text, std::size_t rows) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
        lines.push_back(line);
    }
    if (rows > 1 && lines.size() > rows) {
        const std::size_t more = lines.size() - (rows - 1);
        lines.resize(rows - 1);
        lines.push_back("... and " + std::to_string(more) + " more lines");
    }
    // Synchronised output, where the terminal knows it; home; each line, and the rest of its row
    // cleared; then all rows below.
    std::string sent = "\033[?2026h\033[H";
    for (std::size_t n = 0; n < lines.size(); ++n) {
        sent += (n == 0 ? "" : "\r\n") + lines[n] + "\033[K";
    }
    return sent + "\033[J\033[?2026l";
}

}  // namespace lockstep
